import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { Mapping } from "@/api/types";
import { makeDataset, makeVersion } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { makePreview } from "@/testing/preview-fixtures";
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
    const rows = await screen.findByRole("region", { name: "Your first rows, as conversations" });
    expect(within(rows).getByText("Can I move my appointment on Friday to next week?")).toBeVisible();
    const team = screen.getByRole("group", { name: "Column team" });
    await user.click(within(team).getByLabelText("Question"));
    await within(rows).findByText("billing");
    expect(within(rows).queryByText("Can I move my appointment on Friday to next week?")).toBeNull();
    expect(history.location.search).toContain("team");
    await user.click(screen.getByRole("button", { name: "Use these examples" }));
    await screen.findByText("31 examples say the same as an earlier one.");
    expect(history.location.pathname).toBe("/data/ds_1");
    expect(sent).toEqual({
      file_id: "file-1",
      name: "tickets",
      mapping: { question: "team", answer: "reply" },
    });
  });

  it("keeps what was chosen in the address, and asks for what is missing", async () => {
    const columns = JSON.stringify({ way: "pair", question: "team" });
    const { user, history } = openPage(`/data/new?file=file-1&columns=${encodeURIComponent(columns)}`);
    expect(await screen.findByText("Say which column has the good answer.")).toBeVisible();
    expect(screen.getByRole("button", { name: "Use these examples" })).toBeDisabled();
    const ticket = screen.getByRole("group", { name: "Column ticket" });
    await user.click(within(ticket).getByLabelText("Good answer"));
    expect(await screen.findByText("From 1,204 rows: 1,202 examples, 2 problems.")).toBeVisible();
    expect(history.location.search).toContain("ticket");
    expect(screen.getByRole("button", { name: "Use these examples" })).toBeEnabled();
  });

  it("puts messages together once it is told who is on our side", async () => {
    let sent: unknown = null;
    server.use(
      http.post("*/v1/files/:id/preview", async ({ request }) => {
        const { mapping } = (await request.json()) as { mapping: Partial<Mapping> | null };
        sent = mapping;
        const speakers = ["Kim", "Ben"].map((value) => ({ value, num_messages: 12 }));
        return HttpResponse.json({ ...makePreview(mapping), speakers });
      }),
    );
    const { user } = openPage("/data/new?file=file-1");
    await user.click(await screen.findByLabelText(/One message of a conversation/));
    const choose = async (column: string, part: string) =>
      user.click(within(screen.getByRole("group", { name: `Column ${column}` })).getByLabelText(part));
    await choose("team", "Conversation");
    await choose("reply", "Who speaks");
    await choose("ticket", "What is said");
    const ben = await screen.findByRole("group", { name: "Ben" });
    expect(screen.getByText(/Say who of them is on your side/)).toBeVisible();
    await user.click(within(ben).getByLabelText("On our side"));
    await vi.waitFor(() =>
      expect(sent).toEqual({
        conversation: "team",
        speaker: "reply",
        message: "ticket",
        assistant_speakers: ["Ben"],
      }),
    );
    expect(screen.getByRole("button", { name: "Use these examples" })).toBeEnabled();
  });

  it("says that the columns are as last time, and forgets them on request", async () => {
    let isForgotten = false;
    server.use(
      http.post("*/v1/files/:id/preview", () =>
        HttpResponse.json({ ...makePreview(null), remembered_mapping_id: isForgotten ? null : "cmap_1" }),
      ),
      http.delete("*/v1/column_mappings/cmap_1", () => {
        isForgotten = true;
        return HttpResponse.json({ id: "cmap_1", object: "column_mapping", deleted: true });
      }),
    );
    const { user } = openPage("/data/new?file=file-1");
    await user.click(await screen.findByRole("button", { name: "Forget that choice" }));
    await vi.waitFor(() =>
      expect(screen.queryByText("These columns are as you chose them last time")).toBeNull(),
    );
    expect(isForgotten).toBe(true);
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

describe("a workbook of several sheets", () => {
  it("shows the columns and rows of the sheet that is chosen, and reads that one", async () => {
    let sent: unknown = null;
    server.use(
      http.post("*/v1/datasets", async ({ request }) => {
        sent = await request.json();
        return HttpResponse.json(makeDataset());
      }),
    );
    const { user, history } = openPage("/data/new?file=file-book");
    const choice = await screen.findByLabelText("Which sheet of the workbook");
    expect(choice).toHaveValue("Tickets 2026");
    expect(screen.queryByText("The workbook has 4 sheets.")).toBeNull();
    await screen.findByRole("group", { name: "Column ticket" });
    await user.selectOptions(choice, "Mails");
    const by = await screen.findByRole("group", { name: "Column by" });
    expect(screen.queryByRole("group", { name: "Column ticket" })).toBeNull();
    expect(screen.getByText("From 86 rows: 86 examples.")).toBeVisible();
    await user.click(within(by).getByLabelText("Good answer"));
    const rows = screen.getByRole("region", { name: "Your first rows, as conversations" });
    await within(rows).findByText("Kim");
    expect(history.location.search).toContain("Mails");
    await user.click(screen.getByRole("button", { name: "Use these examples" }));
    await vi.waitFor(() =>
      expect(sent).toEqual({
        file_id: "file-book",
        name: "front desk",
        mapping: { sheet: "Mails", question: "asked", answer: "by" },
      }),
    );
  });

  it("says what is wrong with a sheet, and lets another be chosen", async () => {
    const columns = encodeURIComponent(JSON.stringify({ sheet: "Read me" }));
    const { user } = openPage(`/data/new?file=file-book&columns=${columns}`);
    expect(await screen.findByText(/On the sheet “Read me”: There is one column/)).toBeVisible();
    expect(screen.getByText(/Choose another sheet above/)).toBeVisible();
    expect(screen.getByRole("button", { name: "Use these examples" })).toBeDisabled();
    await user.selectOptions(screen.getByLabelText("Which sheet of the workbook"), "Tickets 2026");
    expect(await screen.findByRole("group", { name: "Column ticket" })).toBeVisible();
    expect(screen.getByRole("button", { name: "Use these examples" })).toBeEnabled();
  });
});

describe("other kinds of rows", () => {
  it("names preferences and shows which answer was preferred", async () => {
    openPage("/data/ds_3");
    expect(await screen.findByRole("button", { name: "Preferences" })).toBeVisible();
    await screen.findAllByText("Preferred");
    expect(screen.getAllByText("Not preferred")).toHaveLength(3);
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
  it("says what is made of it while changes become a version", async () => {
    const making = makeVersion({
      id: "dsv_9",
      number: 4,
      status: "validating",
      progress: 0.4,
      parent_id: "dsv_1",
      changes: [{ type: "exclude_rows", numbers: [3, 4] }],
    });
    server.use(
      http.get("*/v1/datasets/:id", () => HttpResponse.json(makeDataset({ latest_version: making }))),
    );
    openPage("/data/ds_1");
    expect(await screen.findByRole("heading", { name: "Making version 4" })).toBeVisible();
    expect(screen.getByText(/Left out 2 examples\./)).toBeVisible();
    expect(screen.queryByText(/Reading your examples/)).toBeNull();
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
