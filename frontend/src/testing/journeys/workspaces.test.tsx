import { screen, waitFor } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { listOf, makeDataset, makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

const THERE = { id: "ws_2", name: "Research group", slug: "research" };

/** The frame is drawn for a desk and for a phone; styles, which tests have none of, hide one of them. */
function theFirst([found]: HTMLElement[]): HTMLElement {
  if (!found) throw new Error("there is none");
  return found;
}

/** Data that tells which workspace was asked, by the header that a tab sends. */
function namedByWorkspace() {
  const asked: (string | null)[] = [];
  server.use(
    http.get("*/v1/datasets", ({ request }) => {
      const workspace = request.headers.get("openai-project");
      asked.push(workspace);
      return HttpResponse.json(listOf([makeDataset({ name: `Tickets of ${workspace ?? "nobody"}` })]));
    }),
  );
  return asked;
}

describe("the workspace switcher", () => {
  it("is worked by keyboard, and nothing of the other workspace is shown afterwards", async () => {
    const asked = namedByWorkspace();
    const { user, history } = openPage("/data");
    await screen.findByRole("link", { name: "Tickets of ws_1" });
    const [switcher] = screen.getAllByRole("button", { name: "Workspace: Riverside Clinic" });
    switcher?.focus();
    await user.keyboard("{Enter}");
    const items = await screen.findAllByRole("menuitem");
    expect(items.map((item) => item.textContent)).toEqual([
      "Riverside Clinic",
      "Research group",
      "All workspaces",
    ]);
    await user.keyboard("{ArrowDown}{ArrowDown}{Enter}");
    await screen.findAllByRole("button", { name: "Workspace: Research group" });
    expect(history.location.pathname).toBe("/");
    await user.click(theFirst(screen.getAllByRole("link", { name: "Data" })));
    expect(await screen.findByRole("link", { name: "Tickets of ws_2" })).toBeVisible();
    expect(screen.queryByText("Tickets of ws_1")).toBeNull();
    expect(asked.at(-1)).toBe("ws_2");
  });

  it("makes a workspace and goes there, for those who may", async () => {
    const made: unknown[] = [];
    server.use(
      http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ may_create_workspaces: true }))),
      http.post("*/v1/workspaces", async ({ request }) => {
        made.push(await request.json());
        return HttpResponse.json({ ...THERE, object: "workspace", role: "admin", archived_at: null });
      }),
    );
    const { user } = openPage("/");
    await user.click(theFirst(await screen.findAllByRole("button", { name: "Workspace: Riverside Clinic" })));
    await user.click(await screen.findByRole("menuitem", { name: "Make a workspace" }));
    await user.type(await screen.findByLabelText(/Name/), "Research group");
    await user.click(screen.getByRole("button", { name: "Make it" }));
    await screen.findAllByRole("button", { name: "Workspace: Research group" });
    expect(made).toEqual([{ name: "Research group", slug: null }]);
  });

  it("is a plain name for who can go nowhere else", async () => {
    server.use(
      http.get("*/v1/auth/session", () =>
        HttpResponse.json(
          makeSession({ workspaces: [makeSession().workspace], permissions: ["datasets:read"] }),
        ),
      ),
    );
    openPage("/");
    await screen.findAllByText("Riverside Clinic");
    expect(screen.queryByRole("button", { name: /Workspace:/ })).toBeNull();
  });
});

describe("a workspace that is closed to somebody", () => {
  it("is left for another of theirs, without a sign-in", async () => {
    const { user, history } = openPage("/settings");
    await screen.findByRole("heading", { name: "Settings" });
    server.use(
      http.get("*/v1/datasets", ({ request }) =>
        request.headers.get("openai-project") === "ws_1"
          ? refuse(401, "Not your project.", "mismatched_project")
          : HttpResponse.json(listOf([])),
      ),
      http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ workspace: THERE }))),
    );
    await user.click(theFirst(screen.getAllByRole("link", { name: "Data" })));
    await screen.findAllByRole("button", { name: "Workspace: Research group" });
    expect(history.location.pathname).toBe("/");
  });

  it("says to its visitor that they are one", async () => {
    server.use(
      http.get("*/v1/auth/session", () =>
        HttpResponse.json(
          makeSession({ workspace: { id: "ws_4", name: "Harbour school", slug: "s" }, is_visiting: true }),
        ),
      ),
    );
    const { user } = openPage("/");
    expect(await screen.findByText("You are looking into Harbour school")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Back to Riverside Clinic" }));
    await waitFor(() => expect(screen.queryByText("You are looking into Harbour school")).toBeNull());
  });
});

describe("archiving a workspace", () => {
  it("asks, moves on to another one, and is taken back by undo", async () => {
    const restored: unknown[] = [];
    const { user, history } = openPage("/settings?part=workspace");
    await user.click(await screen.findByRole("button", { name: "Archive this workspace" }));
    server.use(
      http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ workspace: THERE }))),
      http.post("*/v1/workspaces/:id/restore", ({ params }) => {
        restored.push(params.id);
        return HttpResponse.json({});
      }),
    );
    await user.click(await screen.findByRole("button", { name: "Archive it" }));
    await screen.findAllByRole("button", { name: "Workspace: Research group" });
    expect(history.location.pathname).toBe("/");
    await user.click(await screen.findByRole("button", { name: "Undo" }));
    await waitFor(() => expect(restored).toEqual(["ws_1"]));
  });
});
