import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { deed, THINGS } from "@/features/audit/components/wording";
import { AUDIT_EVENTS, makeChain } from "@/testing/audit-fixtures";
import { listOf, makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage, settled } from "@/testing/open-page";
import { server } from "@/testing/setup";

const LOG = "/settings?part=audit";

function entries() {
  return within(screen.getByRole("list", { name: "Entries" })).getAllByRole("listitem");
}

describe("the audit log", () => {
  it("says in plain words who did what, and that nobody changed it since", async () => {
    openPage(LOG);
    await settled();
    expect(await screen.findByText(/^Unbroken since/)).toBeInTheDocument();
    expect(screen.getByText(/none was changed, removed or put in/)).toHaveTextContent("7 entries");
    expect(
      entries().map(
        (entry) => within(entry).getByText(/^[A-Z]/, { selector: "summary > :first-child" }).textContent,
      ),
    ).toEqual([
      "Training created",
      "API key createdBooking system",
      "Member role changed",
      "File uploaded",
      "This log taken out as a file",
      "By who runs this installation: limit changed",
      "Signed in",
    ]);
  });

  it("finds by a word and by a kind, and keeps both in the address", async () => {
    const { user, history } = openPage(LOG);
    await settled();
    await user.type(screen.getByRole("searchbox", { name: "Search" }), "booking");
    await waitFor(() => expect(entries()).toHaveLength(3));
    await user.selectOptions(screen.getByLabelText("About"), "Files");
    await waitFor(() => expect(entries()).toHaveLength(1));
    expect(history.location.search).toContain("q=booking");
    expect(history.location.search).toContain("kind=file");
    await user.clear(screen.getByRole("searchbox", { name: "Search" }));
    await user.type(screen.getByRole("searchbox", { name: "Search" }), "nothing of the kind");
    await user.click(await screen.findByRole("button", { name: "Show everything" }));
    await waitFor(() => expect(entries()).toHaveLength(7));
  });

  it("shows all that one did, from one entry of theirs", async () => {
    const { user, history } = openPage(LOG);
    await settled();
    await user.click(screen.getByText("Member role changed"));
    const entry = entries()[2];
    if (!entry) throw new Error("the entry is gone");
    expect(within(entry).getByText("203.0.113.77")).toBeVisible();
    await user.click(within(entry).getByRole("button", { name: "All by Maya Lindqvist" }));
    await waitFor(() => expect(history.location.search).toContain("who=user_1"));
    await waitFor(() => expect(entries()).toHaveLength(4));
    await user.click(screen.getByRole("button", { name: "By anybody" }));
    await waitFor(() => expect(entries()).toHaveLength(7));
  });

  it("is taken out as a file of what is shown", async () => {
    const { user } = openPage(`${LOG}&kind=api_key&from=2026-11-01&to=2026-11-02`);
    await settled();
    await user.click(screen.getByRole("button", { name: "Take it out as a file" }));
    const link = await screen.findByRole("menuitem", { name: /spreadsheet/ });
    const asked = new URL(link.getAttribute("href") ?? "", "http://x");
    expect(asked.pathname).toBe("/v1/audit_events/export");
    expect(asked.searchParams.get("action")).toBe("api_key.*");
    const days = (Number(asked.searchParams.get("until")) - Number(asked.searchParams.get("since"))) / 86_400;
    expect(days).toBe(2);
  });

  it("turns to older entries and back", async () => {
    server.use(
      http.get("*/v1/audit_events", ({ request }) => {
        const isFirst = !new URL(request.url).searchParams.has("after");
        return HttpResponse.json(
          isFirst ? listOf(AUDIT_EVENTS.slice(0, 4), true) : listOf(AUDIT_EVENTS.slice(4)),
        );
      }),
    );
    const { user } = openPage(LOG);
    await settled();
    await user.click(screen.getByRole("button", { name: "Older entries" }));
    await waitFor(() => expect(entries()).toHaveLength(3));
    await user.click(screen.getByRole("button", { name: "Back to the newest" }));
    await waitFor(() => expect(entries()).toHaveLength(4));
  });

  it("says loudly where it was changed", async () => {
    const first_break = {
      sequence: 4,
      event_id: "aud_4",
      fault: "changed" as const,
      message: "Event 4 was changed after it was written.",
    };
    server.use(
      http.get("*/v1/audit_events/chain", () =>
        HttpResponse.json(makeChain({ is_unbroken: false, num_checked: 3, first_break })),
      ),
    );
    openPage(LOG);
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("Somebody changed this log");
    expect(alert).toHaveTextContent("Event 4 was changed after it was written.");
    expect(alert).toHaveTextContent("3 entries before it are as they were written.");
  });

  it("says of a long log that its newest part was checked", async () => {
    server.use(
      http.get("*/v1/audit_events/chain", () =>
        HttpResponse.json(makeChain({ first_sequence: 30_001, num_checked: 20_000, sequence: 50_000 })),
      ),
    );
    openPage(LOG);
    expect(await screen.findByText(/The newest 20,000 entries were checked/)).toHaveTextContent(
      "tailorbird audit verify",
    );
  });

  it("is empty at first, and fails with a way on", async () => {
    server.use(
      http.get("*/v1/audit_events", () => HttpResponse.json(listOf([]))),
      http.get("*/v1/audit_events/chain", () =>
        HttpResponse.json(makeChain({ since: null, num_checked: 0, sequence: 0 })),
      ),
    );
    openPage(LOG);
    expect(await screen.findByText("Nothing was done yet")).toBeInTheDocument();
  });

  it("says what failed and offers to try again", async () => {
    server.use(
      http.get("*/v1/audit_events", () =>
        refuse(503, "The database does not answer.", "database_unavailable"),
      ),
    );
    openPage(LOG);
    expect(await screen.findByText("We could not show the log", {}, { timeout: 8000 })).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Try again" })).toBeInTheDocument();
  }, 15_000);

  it("is not for everybody", async () => {
    server.use(
      http.get("*/v1/auth/session", () =>
        HttpResponse.json(makeSession({ role: "member", permissions: ["members:read"] })),
      ),
    );
    openPage(LOG);
    expect(await screen.findByText("You cannot see the audit log")).toBeInTheDocument();
    expect(screen.queryByRole("tab", { name: "Audit log" })).toBeNull();
  });
});

describe("the words of the audit log", () => {
  it("know every action that the program writes down", () => {
    const reference = readFileSync(resolve(process.cwd(), "../docs/reference.md"), "utf8");
    const actions = [...reference.matchAll(/^\| `(([a-z_]+)\.[a-z_.]+)` \| `/gm)].map(
      ([, action = "", thing = ""]) => ({
        action,
        thing,
      }),
    );
    expect(actions.length).toBeGreaterThan(50);
    expect(actions.filter(({ thing }) => !(thing in THINGS))).toEqual([]);
    expect(actions.map(({ action }) => deed(action)).filter((words) => /totp|_|\./.test(words))).toEqual([]);
  });
});

describe("the audit log of the installation", () => {
  it("names the workspace of each entry", async () => {
    openPage("/admin/audit");
    await settled();
    expect(screen.getByText("By who runs this installation: worker drained")).toBeInTheDocument();
    expect(await screen.findByText("the installation")).toBeInTheDocument();
    expect(screen.getAllByText("Riverside Clinic", { selector: "small" }).length).toBeGreaterThan(3);
  });

  it("is checked and taken out for the workspace that is chosen", async () => {
    const { user, history } = openPage("/admin/audit");
    await settled();
    await user.selectOptions(screen.getByLabelText("Of"), "ws_1");
    await waitFor(() => expect(history.location.search).toContain("workspace=ws_1"));
    await user.click(screen.getByRole("button", { name: "Take it out as a file" }));
    const link = await screen.findByRole("menuitem", { name: /program/ });
    expect(link.getAttribute("href")).toContain(
      "/v1/admin/audit_events/export?format=jsonl&workspace_id=ws_1",
    );
  });
});
