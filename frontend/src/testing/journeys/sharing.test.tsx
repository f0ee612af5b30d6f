import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { Model, Share } from "@/api/types";
import { BASE, listOf, makeSession, NOW_S, TUNED } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { MODELS } from "@/testing/model-fixtures";
import { accessibilityProblems, openPage, settled } from "@/testing/open-page";
import { server } from "@/testing/setup";

const THEIRS: Model = {
  id: "ft:smollm2:laboratory:helper:abc",
  object: "model",
  created: NOW_S - 100,
  owned_by: "ws_laboratory",
  shutdown_date: null,
  kind: "tuned",
  name: "ft:smollm2:laboratory:helper:abc",
  base_model: BASE,
  is_shared: true,
  origin: null,
  imported: null,
  run_id: null,
  method: null,
  checkpoint_step: null,
  base_heldout_loss: null,
  tuned_heldout_loss: null,
  is_ready: true,
  proof_status: "passed",
  proof: null,
};
const PERMISSIONS = "*/v1/fine_tuning/checkpoints/:model/permissions";

function makeShare(projectId: string): Share {
  return {
    id: `cp_${projectId}`,
    object: "checkpoint.permission",
    created_at: NOW_S - 60,
    project_id: projectId,
  };
}

describe("models of others", () => {
  it("are listed apart from one's own", async () => {
    server.use(
      http.get("*/v1/models", () => HttpResponse.json({ object: "list", data: [THEIRS, ...MODELS] })),
    );
    openPage("/models");
    const shared = within(await screen.findByRole("table", { name: "Shared with you" }));
    expect(shared.getByText("ws_laboratory")).toBeVisible();
    expect(shared.queryByText("Claims helper")).toBeNull();
    expect(
      within(screen.getByRole("table", { name: "Your models" })).queryByText("ws_laboratory"),
    ).toBeNull();
  });

  it("can be talked to and neither deleted nor shared on", async () => {
    server.use(http.get("*/v1/models/:model", () => HttpResponse.json(THEIRS)));
    openPage(`/models/${encodeURIComponent(THEIRS.id)}`);
    expect(await screen.findByText("Another workspace, ws_laboratory, lets you talk to it.")).toBeVisible();
    expect(screen.getByRole("link", { name: "Try it" })).toBeVisible();
    expect(screen.queryByRole("button", { name: "Delete" })).toBeNull();
    expect(screen.queryByText("Who else may use it")).toBeNull();
  });
});

describe("sharing a model", () => {
  it("is done by the name of a workspace that one belongs to, once each", async () => {
    let shares: Share[] = [];
    server.use(
      http.get(PERMISSIONS, () => HttpResponse.json(listOf(shares))),
      http.post(PERMISSIONS, async ({ request }) => {
        const { project_ids: ids } = (await request.json()) as { project_ids: string[] };
        shares = ids.map(makeShare);
        return HttpResponse.json(listOf(shares));
      }),
    );
    const { user } = openPage(`/models/${encodeURIComponent(TUNED)}`);
    const choice = await screen.findByLabelText("Workspace");
    expect(within(choice).queryByRole("option", { name: "Riverside Clinic" })).toBeNull();
    expect(screen.getByRole("button", { name: "Let them use it" })).toBeDisabled();
    await user.selectOptions(choice, "Research group");
    await user.click(screen.getByRole("button", { name: "Let them use it" }));
    expect(await screen.findByRole("button", { name: "Take back from Research group" })).toBeVisible();
    expect(shares.map((share) => share.project_id)).toEqual(["ws_2"]);
    // of one's own there is no other one left to choose
    expect(screen.queryByLabelText("Workspace")).toBeNull();
    expect(screen.getByLabelText("Id of the workspace")).toBeVisible();
    await settled();
    expect(await accessibilityProblems()).toEqual([]);
  });

  it("is given to a workspace and taken back", async () => {
    let shares: Share[] = [];
    server.use(
      http.get(PERMISSIONS, () => HttpResponse.json(listOf(shares))),
      http.post(PERMISSIONS, async ({ request }) => {
        const { project_ids: ids } = (await request.json()) as { project_ids: string[] };
        shares = ids.map(makeShare);
        return HttpResponse.json(listOf(shares));
      }),
      http.delete(`${PERMISSIONS}/:id`, ({ params }) => {
        shares = shares.filter((share) => share.id !== params.id);
        return HttpResponse.json({ id: params.id, deleted: true });
      }),
    );
    const { user } = openPage(`/models/${encodeURIComponent(TUNED)}`);
    await user.selectOptions(await screen.findByLabelText("Workspace"), "Another one, by its id");
    await user.type(screen.getByLabelText("Id of the workspace"), "ws_laboratory");
    await user.click(screen.getByRole("button", { name: "Let them use it" }));
    expect(await screen.findByText("ws_laboratory")).toBeVisible();
    await settled();
    expect(await accessibilityProblems()).toEqual([]);
    await user.click(screen.getByRole("button", { name: "Take back from ws_laboratory" }));
    await vi.waitFor(() => expect(screen.queryByText("ws_laboratory")).toBeNull());
    expect(shares).toEqual([]);
  });

  it("says why a workspace cannot be let in", async () => {
    server.use(
      http.post(PERMISSIONS, () => refuse(404, "There is no workspace 'ws_x'.", "project_not_found")),
    );
    const { user } = openPage(`/models/${encodeURIComponent(TUNED)}`);
    await user.selectOptions(await screen.findByLabelText("Workspace"), "Another one, by its id");
    await user.type(screen.getByLabelText("Id of the workspace"), "ws_x");
    await user.click(screen.getByRole("button", { name: "Let them use it" }));
    expect(await screen.findByText("There is no workspace 'ws_x'.")).toBeVisible();
  });

  it("is for admins", async () => {
    server.use(
      http.get("*/v1/auth/session", () =>
        HttpResponse.json(makeSession({ permissions: ["models:read", "runs:read", "chat:use"] })),
      ),
    );
    openPage(`/models/${encodeURIComponent(TUNED)}`);
    await screen.findByRole("heading", { name: "Use it in your programs" });
    expect(screen.queryByText("Who else may use it")).toBeNull();
  });
});
