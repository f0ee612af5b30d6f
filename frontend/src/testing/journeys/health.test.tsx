import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { makeDataset, makeEstimates, makeVersion } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

describe("the health of a set of examples", () => {
  it("counts the examples as every other place does, and says what else stands among them", async () => {
    openPage("/data/ds_1");
    expect(await screen.findByText(/^1,204 examples\. .* honestly\. 1 more is left out\.$/)).toBeVisible();
    expect(await screen.findByRole("link", { name: "See all 1,204 examples" })).toBeVisible();
  });

  it("does not speak of what is left out where all are used", async () => {
    server.use(
      http.get("*/v1/datasets/:id", () =>
        HttpResponse.json(makeDataset({ latest_version: makeVersion({ num_visible: 1204 }) })),
      ),
    );
    openPage("/data/ds_1");
    expect(await screen.findByText(/^1,204 examples\. .* honestly\.$/)).toBeVisible();
  });

  it("shows the rows of one finding", async () => {
    const { user, history } = openPage("/data/ds_1");
    const card = (await screen.findByText(/contain what looks like a card number/)).closest("li");
    expect(screen.getByText(/No passwords or keys/)).toBeVisible();
    await user.click(within(card as HTMLElement).getByRole("button", { name: "Show" }));
    expect(history.location.pathname).toBe("/data/ds_1/rows");
    expect(history.location.search).toContain("finding=card_number");
  });

  it.each([
    ["ds_1", "supervised"],
    ["ds_3", "dpo"],
    ["ds_4", "continued_pretraining"],
  ])("tells what one pass over %s costs", async (id, method) => {
    const sent: unknown[] = [];
    server.use(
      http.post("*/v1/fine_tuning/estimates", async ({ request }) => {
        sent.push(await request.json());
        return HttpResponse.json({ ...makeEstimates(), estimates: [makeEstimates().estimates[0]] });
      }),
    );
    openPage(`/data/${id}`);
    expect(await screen.findByText(/takes 7 – 10 minutes and costs \$0.017 – \$0.025/)).toBeVisible();
    expect(sent).toEqual([
      expect.objectContaining({
        method: { type: method },
        hyperparameters: { n_epochs: 1 },
        recipe: "balanced",
      }),
    ]);
  });

  it("mends a finding as a new version, by the change that was asked for", async () => {
    const sent: unknown[] = [];
    server.use(
      http.post("*/v1/dataset_versions/:id/changes", async ({ request }) => {
        sent.push(await request.json());
        return HttpResponse.json(makeDataset().latest_version);
      }),
    );
    const { user } = openPage("/data/ds_1");
    const cards = (await screen.findByText(/contain what looks like a card number/)).closest("li");
    await user.click(within(cards as HTMLElement).getByRole("button", { name: "Mask them" }));
    const twice = screen.getByText(/say the same as an earlier one/).closest("li");
    await waitFor(() =>
      expect(within(twice as HTMLElement).getByRole("button", { name: "Leave them out" })).toBeEnabled(),
    );
    await user.click(within(twice as HTMLElement).getByRole("button", { name: "Leave them out" }));
    await waitFor(() => expect(sent).toHaveLength(2));
    expect(sent).toEqual([
      { changes: [{ type: "apply_fix", finding: "card_number" }] },
      { changes: [{ type: "exclude_rows", finding: "duplicate" }] },
    ]);
  });

  it("keeps personal data once it is said why, and takes it back", async () => {
    const sent: unknown[] = [];
    const version = structuredClone(makeVersion());
    const card = version.health.findings.find((finding) => finding.code === "card_number");
    if (!card) throw new Error("no such finding");
    server.use(
      http.get("*/v1/datasets/:id", () => HttpResponse.json(makeDataset({ latest_version: version }))),
      http.post("*/v1/dataset_versions/:id/findings/:code/keep", async ({ params, request }) => {
        const { ground } = (await request.json()) as { ground: string };
        sent.push([params.id, params.code, ground]);
        card.kept = { ground, kept_by_name: "Jo Park", kept_at: version.created_at, is_carried_over: false };
        return HttpResponse.json({});
      }),
      http.delete("*/v1/dataset_versions/:id/findings/:code/keep", ({ params }) => {
        sent.push([params.id, params.code]);
        card.kept = null;
        return HttpResponse.json({});
      }),
    );
    const { user } = openPage("/data/ds_1");
    const item = (await screen.findByText(/contain what looks like a card number/)).closest("li");
    const inItem = within(item as HTMLElement);
    const repeated = screen.getByText(/say the same as an earlier one/).closest("li");
    expect(within(repeated as HTMLElement).queryByRole("button", { name: "Keep them" })).toBeNull();
    await user.click(inItem.getByRole("button", { name: "Keep them" }));
    const dialog = within(await screen.findByRole("dialog", { name: "Why may these stay?" }));
    const keep = dialog.getByRole("button", { name: "Keep them" });
    await user.type(dialog.getByLabelText(/Reason/), "   ");
    expect(keep).toBeDisabled();
    await user.type(dialog.getByLabelText(/Reason/), "Test numbers of our bank.");
    await user.click(keep);
    expect(await inItem.findByText(/Kept/)).toBeVisible();
    expect(item).toHaveTextContent(/Kept by Jo Park, .+: Test numbers of our bank\./);
    expect(inItem.queryByRole("button", { name: "Mask them" })).toBeNull();
    await user.click(inItem.getByRole("button", { name: "Take it back" }));
    expect(await inItem.findByRole("button", { name: "Mask them" })).toBeVisible();
    expect(sent).toEqual([
      [version.id, "card_number", "   Test numbers of our bank."],
      [version.id, "card_number"],
    ]);
  });

  it("says of another's reason that it stands, and does not lose what was typed", async () => {
    const said = "Jo Park decided already that this may stay, on another ground.";
    server.use(
      http.post("*/v1/dataset_versions/:id/findings/:code/keep", () =>
        refuse(409, said, "finding_kept_already"),
      ),
    );
    const { user } = openPage("/data/ds_1");
    const item = (await screen.findByText(/contain what looks like a card number/)).closest("li");
    await user.click(within(item as HTMLElement).getByRole("button", { name: "Keep them" }));
    const dialog = within(await screen.findByRole("dialog"));
    await user.type(dialog.getByLabelText(/Reason/), "Mine.");
    await user.click(dialog.getByRole("button", { name: "Keep them" }));
    expect(await dialog.findByText(said)).toBeVisible();
    expect(dialog.getByLabelText(/Reason/)).toHaveValue("Mine.");
  });

  it("tells that a reason was given for an earlier version", async () => {
    const version = makeVersion();
    const findings = version.health.findings.map((finding) =>
      finding.kept ? { ...finding, kept: { ...finding.kept, is_carried_over: true } } : finding,
    );
    server.use(
      http.get("*/v1/datasets/:id", () =>
        HttpResponse.json(
          makeDataset({ latest_version: makeVersion({ health: { ...version.health, findings } }) }),
        ),
      ),
    );
    openPage("/data/ds_1");
    const note = (await screen.findByText("Kept")).closest("p");
    expect(note).toHaveTextContent(/Kept by Mara Lindqvist, .+, carried over from an earlier version: /);
  });
});
