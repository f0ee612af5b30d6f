import { requestCode } from "@/lib/request-code";

const BODY = {
  model: "m",
  messages: [{ role: "user", content: 'It\'s "so"\nand so \\ ü' }],
  temperature: 0.3,
  stop: ["a", "b"],
  store: true,
};

describe("a request as code", () => {
  it("is quoted for a shell", () => {
    const { curl } = requestCode(BODY, "https://x");
    expect(curl).toContain(`It'\\''s \\"so\\"\\nand so \\\\ ü`);
    expect(curl).toContain("$TAILORBIRD_API_KEY");
  });

  it("speaks Python's words", () => {
    const { python } = requestCode({ ...BODY, seed: null }, "https://x");
    expect(python).toContain(
      `    messages=[\n        {"role": "user", "content": "It's \\"so\\"\\nand so \\\\ ü"},\n    ],`,
    );
    expect(python).toContain("    store=True,");
    expect(python).toContain("    seed=None,");
    expect(python).toContain('base_url="https://x/v1", api_key="YOUR_API_KEY"');
  });

  it("is JavaScript", () => {
    expect(requestCode(BODY, "https://x").javascript).toContain('baseURL: "https://x/v1"');
  });
});
