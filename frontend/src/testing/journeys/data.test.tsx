import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { makeDataset } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

const CSV = new File(["ticket,reply\nq,a\n"], "tickets.csv", { type: "text/csv" });

describe("bringing examples", () => {
  it("shows the first rows, follows a changed column and creates them with it", async () => {
    let sent: unknown = null;
    server.use(
      http.post("*/v1/datasets", async ({ request }) => {
        sent = await request.json();
        return HttpResponse.json(makeDataset());
      }),
    );
    const { user, history } = openPage("/data/new");
    await user.upload(await screen.findByLabelText("File with examples"), CSV);
    expect(await screen.findByText("Can I move my appointment on Friday to next week?")).toBeVisible();
    await user.selectOptions(screen.getByLabelText("The question is in"), "team");
    expect(screen.queryByText("Can I move my appointment on Friday to next week?")).toBeNull();
    expect(screen.getByText("billing")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Use these examples" }));
    await screen.findByText("31 examples say the same as an earlier one.");
    expect(history.location.pathname).toBe("/data/ds_1");
    expect(sent).toEqual({
      file_id: "file-1",
      name: "tickets",
      mapping: { question: "team", answer: "reply", system: null },
    });
  });

  it("says of a refused file where, why and how to mend it", async () => {
    server.use(
      http.post("*/v1/files", () =>
        refuse(400, "The header names a column twice.", "header_duplicate", {
          row: 1,
          column: "reply",
          cause: "Two columns are called “reply”.",
          fix: "Rename one of them.",
        }),
      ),
    );
    const { user } = openPage("/data/new");
    await user.upload(await screen.findByLabelText("File with examples"), CSV);
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("“tickets.csv” was not taken");
    expect(alert).toHaveTextContent("At row 1, column “reply”: Two columns are called “reply”.");
    expect(alert).toHaveTextContent("Rename one of them.");
    expect(screen.getByRole("button", { name: "Choose a file" })).toBeEnabled();
  });
});

describe("other kinds of rows", () => {
  it("names preferences and shows which answer was preferred", async () => {
    openPage("/data/ds_3");
    expect(await screen.findByRole("button", { name: "Preferences" })).toBeVisible();
    const list = (await screen.findByRole("heading", { name: "Examples" })).closest("section");
    if (!list) throw new Error("the list has no section");
    await within(list).findAllByText("Preferred");
    expect(within(list).getAllByText("Not preferred")).toHaveLength(4);
    expect(screen.getByText("1 example contradicts another.")).toBeVisible();
  });

  it("shows a text as a text, a long one on demand", async () => {
    const { user } = openPage("/data/ds_4");
    expect(await screen.findByRole("button", { name: "Plain text" })).toBeVisible();
    expect((await screen.findAllByText(/Whoever works on a holiday/))[0]).toBeVisible();
    const [more] = await screen.findAllByRole("button", { name: "Show all of it" });
    if (!more) throw new Error("the long text is shown whole");
    const before = document.body.textContent.length;
    await user.click(more);
    expect(document.body.textContent.length).toBeGreaterThan(before);
  });

  it("shows what an assistant looks up, what it is told, and what is not learned", async () => {
    openPage("/data/ds_5");
    expect((await screen.findAllByText('next_free_day({"doctor": "Lange"})'))[0]).toBeVisible();
    expect(screen.getAllByText("Found")[0]).toBeVisible();
    expect(screen.getAllByText("learned at 50%")[0]).toBeVisible();
    expect(screen.getAllByText("not learned")[0]).toBeVisible();
  });
});

describe("one set of examples", () => {
  it("is filtered and searched by its address", async () => {
    const { user, history } = openPage("/data/ds_1");
    await user.click(await screen.findByText("Held back"));
    expect(history.location.search).toContain("filter=heldout");
    await user.type(screen.getByLabelText("Search the examples"), "zebra");
    expect(await screen.findByText("Nothing contains “zebra”.")).toBeVisible();
  });

  it("is deleted and taken back", async () => {
    let wasRestored = false;
    server.use(
      http.post("*/v1/datasets/:id/restore", () => {
        wasRestored = true;
        return HttpResponse.json(makeDataset());
      }),
    );
    const { user } = openPage("/data/ds_1");
    await user.click(await screen.findByRole("button", { name: "More" }));
    await user.click(await screen.findByRole("menuitem", { name: "Delete" }));
    const notice = (await screen.findByText(/was deleted/)).closest("div");
    if (!notice) throw new Error("the notice has no box");
    await user.click(within(notice).getByRole("button", { name: "Undo" }));
    await vi.waitFor(() => expect(wasRestored).toBe(true));
  });
});

describe("the health of a set of examples", () => {
  it("shows the rows of one finding, and all of them again", async () => {
    const { user, history } = openPage("/data/ds_1");
    const card = (await screen.findByText(/contain what looks like a card number/)).closest("li");
    expect(screen.getByText(/No passwords or keys/)).toBeVisible();
    await user.click(within(card as HTMLElement).getByRole("button", { name: "Show" }));
    expect(history.location.search).toContain("finding=card_number");
    await user.click(await screen.findByRole("button", { name: "Show all examples again" }));
    expect(history.location.search).not.toContain("finding");
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
});
