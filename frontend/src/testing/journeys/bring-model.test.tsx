import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { BASE, listOf, makeFile, makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { BROUGHT_ID, makeBrought, makeImport, ON_ITS_WAY } from "@/testing/import-handlers";
import { MODELS, PROOF } from "@/testing/model-fixtures";
import { accessibilityProblems, openPage, settled } from "@/testing/open-page";
import { server } from "@/testing/setup";

// What a browser calls them on the wire is lost in these tests: they are told by what is in them.
const CONFIG = new File(["the settings"], "adapter_config.json");
const WEIGHTS = new File(["the weights"], "adapter_model.safetensors");
const PACKED = new File(["PK"], "theirs.zip");
const SURE = /^I know that it was trained on this base model/;

/** What was uploaded, and what was asked for. */
function watched() {
  const seen = { files: [] as string[], purposes: [] as unknown[], asked: [] as unknown[] };
  server.use(
    http.post("*/v1/files", async ({ request }) => {
      const form = await request.formData();
      const file = form.get("file") as File;
      seen.files.push(await file.text());
      seen.purposes.push(form.get("purpose"));
      return HttpResponse.json(makeFile({ id: `file-${seen.files.length}` }));
    }),
    http.post("*/v1/model_imports", async ({ request }) => {
      seen.asked.push(await request.json());
      return HttpResponse.json(makeImport({ ...ON_ITS_WAY, id: "import_2" }));
    }),
  );
  return seen;
}

describe("bringing a model made elsewhere", () => {
  it("is offered quietly on the page of models", async () => {
    const { user, history } = openPage("/models");
    await user.click(await screen.findByRole("link", { name: "Bring a model made elsewhere" }));
    expect(await screen.findByText("Drop the files of the model")).toBeVisible();
    expect(history.location.pathname).toBe("/models/bring");
  });

  it("sends the files, asks with what the person said, and shows how far it is", async () => {
    const seen = watched();
    const { user, history } = openPage("/models/bring");
    await user.upload(await screen.findByLabelText("Files of the model"), [CONFIG, WEIGHTS]);
    expect(within(screen.getByRole("list", { name: "Chosen files" })).getAllByRole("listitem")).toHaveLength(
      2,
    );
    await user.type(screen.getByLabelText(/^Name/), "Night shift");
    await user.click(screen.getByLabelText(SURE));
    await user.click(screen.getByRole("button", { name: "Bring it" }));
    expect(await screen.findByRole("progressbar", { name: /^Checking/ })).toBeVisible();
    expect(screen.getByText(/^Comparing every part with the base model/)).toBeVisible();
    expect(seen.files).toEqual(["the settings", "the weights"]);
    expect(seen.purposes).toEqual(["user_data", "user_data"]);
    expect(seen.asked).toEqual([
      {
        file_ids: ["file-1", "file-2"],
        name: "Night shift",
        base_model: BASE,
        confirm_base: true,
        quantization: null,
      },
    ]);
    expect(history.location.search).toContain("id=import_2");
  });

  it("needs nobody's word for a package that may prove its base", async () => {
    const seen = watched();
    const { user } = openPage("/models/bring");
    await user.upload(await screen.findByLabelText("Files of the model"), PACKED);
    expect(screen.getByLabelText(SURE)).not.toBeRequired();
    await user.type(screen.getByLabelText(/^Name/), "Night shift");
    await user.click(screen.getByRole("button", { name: "Bring it" }));
    await screen.findByRole("progressbar", { name: /^Checking/ });
    expect(seen.asked).toMatchObject([{ file_ids: ["file-1"], confirm_base: false }]);
  });

  it.each([
    ["adapter_model.bin", /“adapter_model.bin” may be a pickle: .* safe_serialization=True/],
    ["optimizer.pt", /“optimizer.pt” may be a pickle/],
  ])("refuses %s before it is sent, with what to do", async (name, words) => {
    const seen = watched();
    const { user } = openPage("/models/bring");
    const input = await screen.findByLabelText("Files of the model");
    input.removeAttribute("accept"); // as when it is dropped
    await user.upload(input, [CONFIG, new File(["x"], name)]);
    await user.type(screen.getByLabelText(/^Name/), "Night shift");
    await user.click(screen.getByLabelText(SURE));
    await user.click(screen.getByRole("button", { name: "Bring it" }));
    expect(await screen.findByRole("alert")).toHaveTextContent(words);
    expect(seen.files).toEqual([]);
    await user.click(screen.getByRole("button", { name: `Leave out ${name}` }));
    await user.upload(input, WEIGHTS);
    await user.click(screen.getByRole("button", { name: "Bring it" }));
    await screen.findByRole("progressbar", { name: /^Checking/ });
    expect(seen.files).toEqual(["the settings", "the weights"]);
  });

  it("says which file is missing, and what the server says", async () => {
    watched();
    const { user } = openPage("/models/bring");
    await user.upload(await screen.findByLabelText("Files of the model"), CONFIG);
    await user.type(screen.getByLabelText(/^Name/), "Night shift");
    await user.click(screen.getByLabelText(SURE));
    await user.click(screen.getByRole("button", { name: "Bring it" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Still missing: adapter_model.safetensors.");
    server.use(
      http.post("*/v1/model_imports", () =>
        refuse(413, "There is no room for it.", "storage_quota_exceeded"),
      ),
    );
    await user.upload(screen.getByLabelText("Files of the model"), WEIGHTS);
    await user.click(screen.getByRole("button", { name: "Bring it" }));
    expect(await screen.findByText("There is no room for it.")).toBeVisible();
    expect(screen.getByLabelText(/^Name/)).toHaveValue("Night shift");
  });

  it("leads to the model once it is here, and says why another was not brought", async () => {
    let found = makeImport(ON_ITS_WAY);
    server.use(http.get("*/v1/model_imports/:id", () => HttpResponse.json(found)));
    openPage("/models/bring?id=import_1");
    expect(await screen.findByRole("progressbar")).toBeVisible();
    found = makeImport();
    const link = await screen.findByRole("link", { name: "Look at it" }, { timeout: 4000 });
    expect(link).toHaveAttribute("href", expect.stringContaining("/models/"));
  });

  it("says why one was refused, and can be begun again", async () => {
    const { user } = openPage("/models/bring?id=import_3");
    expect(await screen.findByRole("alert")).toHaveTextContent("are not the same");
    await user.click(screen.getByRole("link", { name: "Begin again" }));
    expect(await screen.findByText("Drop the files of the model")).toBeVisible();
  });

  it("says what it waits for", async () => {
    const message = "No machine is here that could do it.";
    const found = makeImport({
      ...ON_ITS_WAY,
      status: "queued",
      stage: null,
      waits_for: { reason: "no_worker", message, until: null },
    });
    server.use(http.get("*/v1/model_imports/:id", () => HttpResponse.json(found)));
    openPage("/models/bring?id=import_1");
    expect(
      await screen.findByText(`${message} You can close this page; it goes on without you.`),
    ).toBeVisible();
  });

  it("stops one that is on its way", async () => {
    let found = makeImport({ ...ON_ITS_WAY, id: "import_2" });
    server.use(
      http.get("*/v1/model_imports/:id", () => HttpResponse.json(found)),
      http.post("*/v1/model_imports/:id/cancel", () => {
        found = makeImport({ id: "import_2", status: "cancelled", model: null });
        return HttpResponse.json(found);
      }),
    );
    const { user } = openPage("/models/bring?id=import_2");
    await user.click(await screen.findByRole("button", { name: "Stop" }));
    expect(await screen.findByText("Stopped")).toBeVisible();
  });

  it("is for those who may train", async () => {
    server.use(
      http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ permissions: ["models:read"] }))),
    );
    openPage("/models/bring");
    expect(await screen.findByText("You cannot see this form")).toBeVisible();
  });
});

describe("a model that was brought", () => {
  const ADDRESS = `/models/${encodeURIComponent(BROUGHT_ID)}`;

  it("says by whom and when, and that nobody here knows what it learned from", async () => {
    const { user } = openPage(ADDRESS);
    expect(await screen.findByText(/^Brought by Mira Holm on /)).toBeVisible();
    expect(screen.getByText("said by Mira Holm; its shapes fit")).toBeVisible();
    expect(screen.getByText("It passed: it answers here as it should.")).toBeVisible();
    await user.click(screen.getByText("The numbers of the check"));
    expect(screen.getByText("Difference from PEFT")).toBeVisible();
    expect(screen.queryByText("Training run")).toBeNull();
    await settled();
    expect(await accessibilityProblems()).toEqual([]);
  });

  it("stands among one's own, and is no shared one, though no run made it", async () => {
    server.use(
      http.get("*/v1/models", () => HttpResponse.json({ object: "list", data: [makeBrought(), ...MODELS] })),
      http.get("*/v1/model_imports", () => HttpResponse.json(listOf([]))),
    );
    openPage("/models");
    const own = within(await screen.findByRole("region", { name: "Yours" }));
    expect(own.getByRole("link", { name: "From the lab" })).toBeVisible();
    expect(own.getByText("made elsewhere")).toBeVisible();
    expect(screen.queryByRole("region", { name: "Shared with you" })).toBeNull();
    expect(screen.queryByRole("region", { name: "On their way" })).toBeNull();
  });

  it("says why it answers nobody where its check failed", async () => {
    const failed = makeBrought({
      is_ready: false,
      proof_status: "failed",
      proof: { ...PROOF, is_passed: false, code: "proof_no_effect", reason: "It changes nothing." },
    });
    server.use(http.get("*/v1/models/:model", () => HttpResponse.json(failed)));
    openPage(ADDRESS);
    expect(await screen.findByText("It changes nothing.")).toBeVisible();
    expect(screen.queryByRole("link", { name: "Try it" })).toBeNull();
  });

  it("is linked from the page of models while it is on its way", async () => {
    openPage("/models");
    const there = within(await screen.findByRole("region", { name: "On their way" }));
    expect(there.getByRole("link", { name: "Night shift" })).toBeVisible();
    expect(await screen.findByRole("link", { name: "Claims helper" })).toBeVisible();
  });
});
