import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { ModelExport } from "@/api/types";
import { makeExport, RETRY, UNDER_WAY } from "@/testing/export-handlers";
import { listOf, makeSession, TUNED } from "@/testing/fixtures";
import { accessibilityProblems, openPage, settled } from "@/testing/open-page";
import { server } from "@/testing/setup";

const ADDRESS = `/models/${encodeURIComponent(TUNED)}`;

function has(...found: ModelExport[]) {
  server.use(http.get("*/v1/model_exports", () => HttpResponse.json(listOf(found))));
}

async function section() {
  return within(await screen.findByRole("region", { name: "Take it with you" }));
}

describe("taking a model away", () => {
  it("packs it, shows how far that is, and lets it be downloaded", async () => {
    let found: ModelExport[] = [];
    const asked: unknown[] = [];
    server.use(
      http.get("*/v1/model_exports", () => HttpResponse.json(listOf(found))),
      http.post("*/v1/model_exports", async ({ request }) => {
        asked.push(await request.json());
        found = [makeExport(UNDER_WAY)];
        return HttpResponse.json(found[0]);
      }),
    );
    const { user } = openPage(ADDRESS);
    const here = await section();
    await user.click(await here.findByRole("button", { name: /^Pack: For developers/ }));
    expect(await here.findByRole("progressbar", { name: /^Packing/ })).toBeVisible();
    expect(asked).toEqual([{ model: TUNED, format: "adapter" }]);
    found = [makeExport()];
    const link = await here.findByRole("link", { name: /^Download: For developers/ }, { timeout: 4000 });
    expect(link).toHaveAttribute("href", "/v1/model_exports/export_1/content");
    await user.click(here.getByText("What is in it: 6 files"));
    expect(here.getByText("adapter_model.safetensors")).toBeVisible();
  });

  it("says how far a whole model is from the one that answers here", async () => {
    const merge = {
      prompts: "heldout",
      num_prompts: 10,
      num_places: 160,
      max_difference: 0.4,
      mean_difference: 0.02,
      same_choice: 0.98,
      mean_divergence: 0.001,
      serving_quantization: null,
      dtype: "bfloat16",
    };
    has(makeExport({ format: "merged", merge }));
    openPage(ADDRESS);
    const here = await section();
    expect(await here.findByText(/chooses the same next word as the model here at 98/)).toBeVisible();
  });

  it("says why a form cannot be had, and offers no button for it", async () => {
    has();
    server.use(
      http.get("*/v1/model_exports/choices/:model", () =>
        HttpResponse.json({
          object: "list",
          data: [{ format: "adapter", reason: "All of it has learned." }],
        }),
      ),
    );
    openPage(ADDRESS);
    const here = await section();
    expect(await here.findByText("Not for this model. All of it has learned.")).toBeVisible();
    expect(here.queryByRole("button")).toBeNull();
  });

  it("says what went wrong and that it cost nothing, and what is gone can be packed again", async () => {
    has(
      makeExport({
        ...UNDER_WAY,
        status: "failed",
        stage: null,
        error: { code: "disk_full", message: "The machine's disk is full." },
      }),
    );
    openPage(ADDRESS);
    const here = await section();
    expect(await here.findByRole("alert")).toHaveTextContent("The machine's disk is full. It cost nothing.");
    expect(here.getByRole("button", { name: /^Pack again/ })).toBeVisible();
  });

  it("says once that it cost nothing", async () => {
    const message = "The work stood still and was ended. It cost you nothing. Start it again.";
    has(makeExport({ ...UNDER_WAY, status: "failed", stage: null, error: { code: "no_progress", message } }));
    openPage(ADDRESS);
    const here = await section();
    const alert = await here.findByRole("alert");
    expect(alert).toHaveTextContent(message);
    expect(alert).not.toHaveTextContent("It cost nothing.");
  });

  it("says what it waits for, which need not be a machine", async () => {
    has(makeExport({ ...UNDER_WAY, status: "queued", stage: null, waits_for: RETRY }));
    openPage(ADDRESS);
    const here = await section();
    expect(
      await here.findByText(`${RETRY?.message} You can close this page; the work goes on.`),
    ).toBeVisible();
  });

  it("offers what expired to be packed again", async () => {
    has(makeExport({ is_expired: true }));
    openPage(ADDRESS);
    const here = await section();
    expect(await here.findByText(/the files were kept for a while and are gone/)).toBeVisible();
    expect(here.queryByRole("link", { name: /^Download/ })).toBeNull();
    expect(here.getByRole("button", { name: /^Pack again/ })).toBeVisible();
  });

  it("offers nothing to whoever may not take it", async () => {
    const permissions = makeSession().permissions.filter((one) => one !== "models:export");
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ permissions }))));
    openPage(ADDRESS);
    const here = await section();
    expect(await here.findByText(/^Packed/)).toBeVisible();
    expect(here.queryByRole("link", { name: /^Download/ })).toBeNull();
    expect(here.queryByRole("button")).toBeNull();
  });

  it("is accessible while it works", async () => {
    has(makeExport(UNDER_WAY));
    openPage(ADDRESS);
    await settled();
    expect(await accessibilityProblems()).toEqual([]);
  });
});
