import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { DatasetDraft, RowChange } from "@/api/types";
import { makeDataset, makeRow, makeVersion, messagesOf } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { makeDraft } from "@/testing/row-handlers";
import { sent } from "@/testing/sent";
import { server } from "@/testing/setup";

const CHANGES = "*/v1/datasets/:id/draft/changes";

function showDraft(draft: DatasetDraft) {
  server.use(http.get("*/v1/datasets/:id/draft", () => HttpResponse.json(draft)));
}

async function theTable() {
  const grid = await screen.findByRole("grid", { name: "Examples" });
  await within(grid).findAllByRole("row", { name: /appointment/ });
  return grid;
}

const textOf = (index: number) => messagesOf(index)[0]?.content ?? "";

describe("all examples", () => {
  it("are filtered, sorted and searched by their address", async () => {
    const { user, history } = openPage("/data/ds_1/rows?filter=heldout");
    expect(await screen.findByText("3 examples like that")).toBeVisible();
    expect(screen.getByLabelText("Show")).toHaveValue("heldout");
    await user.selectOptions(screen.getByLabelText("Order"), "Longest first");
    expect(history.location.search).toContain("order=-num_tokens");
    expect(history.location.search).toContain("filter=heldout");
    await user.type(screen.getByLabelText("Search the examples"), "zebra");
    expect(await screen.findByText("Nothing contains “zebra”")).toBeVisible();
    expect(history.location.search).toContain("q=zebra");
    await user.click(screen.getByRole("button", { name: "Show all examples" }));
    expect(await screen.findByText("1,204 examples. 1 more is left out.")).toBeVisible();
    expect(screen.getByLabelText("Search the examples")).toHaveValue("");
  });

  it("are gone through by keys, opened, and closed again", async () => {
    const { user, history } = openPage("/data/ds_1/rows");
    const grid = await theTable();
    grid.focus();
    await user.keyboard("{ArrowDown}{ArrowDown}{Enter}");
    const panel = await screen.findByRole("complementary", { name: "Example 3" });
    expect(history.location.search).toBe("?row=3");
    expect(await within(panel).findByText(/Row 3 of tickets\.csv/)).toBeVisible();
    expect(within(panel).getByText("No model has learned it so.")).toBeVisible();
    await user.keyboard("{ArrowDown}");
    await screen.findByRole("complementary", { name: "Example 4" });
    await user.keyboard("{Escape}");
    await waitFor(() => expect(screen.queryByRole("complementary", { name: /Example/ })).toBeNull());
    await user.keyboard("/");
    expect(screen.getByLabelText("Search the examples")).toHaveFocus();
  });

  it("are left out many at once, chosen by hand or all that match", async () => {
    const made = sent("post", CHANGES, makeDraft({ type: "exclude_rows", numbers: [4, 8, 12] }));
    const { user } = openPage("/data/ds_1/rows?filter=heldout");
    await user.click(await screen.findByLabelText("Choose example 4"));
    await user.click(await screen.findByRole("button", { name: "Choose all 3" }));
    await screen.findByText("3 examples chosen");
    const bar = screen.getByRole("region", { name: "Chosen examples" });
    showDraft(makeDraft({ type: "exclude_rows", numbers: [4, 8, 12] }));
    await user.click(within(bar).getByRole("button", { name: "Leave out" }));
    expect(await screen.findByText(/3 examples left out/)).toBeVisible();
    expect(made[0]?.body).toEqual({
      version_id: "dsv_1",
      change: { type: "exclude_rows", numbers: [4, 8, 12] },
    });
    expect(screen.queryByText("3 examples chosen")).toBeNull();
  });

  it("go to the place of a number", async () => {
    const { user } = openPage("/data/ds_1/rows");
    const grid = await theTable();
    await user.type(screen.getByLabelText("Go to example number"), "7{Enter}");
    await waitFor(() => expect(grid).toHaveAttribute("aria-activedescendant", "row-6"));
    expect(grid).toHaveFocus();
  });

  it("can be looked at, and not changed, by who may not or while a version is made", async () => {
    const making = makeVersion({
      id: "dsv_9",
      number: 4,
      status: "validating",
      parent_id: "dsv_1",
      changes: [{ type: "exclude_rows", numbers: [3] }],
    });
    server.use(
      http.get("*/v1/datasets/:id", () => HttpResponse.json(makeDataset({ latest_version: making }))),
    );
    openPage("/data/ds_1/rows?row=2");
    expect(await screen.findByRole("heading", { name: "Making version 4" })).toBeVisible();
    await theTable();
    await screen.findByText(/Row 2 of tickets\.csv/);
    expect(screen.queryByRole("button", { name: "Edit" })).toBeNull();
    expect(screen.queryByLabelText("Choose example 2")).toBeNull();
  });
});

describe("an example", () => {
  it("is edited in its words, beginning from what was seen", async () => {
    const made = sent("post", CHANGES, makeDraft());
    const { user } = openPage("/data/ds_1/rows?row=1");
    await user.click(await screen.findByRole("button", { name: "Edit" }));
    const answer = screen.getByLabelText("Answer");
    await user.clear(answer);
    await user.click(screen.getByRole("button", { name: "Keep this change" }));
    expect(await screen.findByText("Write what is to be said.")).toBeVisible();
    expect(made).toHaveLength(0);
    await user.type(answer, "By all means.");
    await user.click(screen.getByRole("button", { name: "Keep this change" }));
    await waitFor(() => expect(made).toHaveLength(1));
    const question = { role: "user", content: textOf(0) };
    expect(made[0]?.body).toEqual({
      version_id: "dsv_1",
      change: {
        type: "edit_row",
        number: 1,
        content: { messages: [question, { role: "assistant", content: "By all means." }] },
      },
      seen: { messages: messagesOf(0) },
    });
    expect(await screen.findByRole("button", { name: "Edit" })).toBeVisible();
  });

  it("that somebody else changed meanwhile is shown beside what was written", async () => {
    const theirs = [
      { role: "user" as const, content: textOf(0) },
      { role: "assistant" as const, content: "Theirs." },
    ];
    let isChanged = false;
    const bodies: { seen: unknown }[] = [];
    server.use(
      http.get("*/v1/dataset_versions/:id/rows/:number", () =>
        HttpResponse.json(makeRow(0, isChanged ? { messages: theirs } : {})),
      ),
      http.post(CHANGES, async ({ request }) => {
        bodies.push((await request.json()) as { seen: unknown });
        if (isChanged && bodies.length > 1) return HttpResponse.json(makeDraft());
        isChanged = true;
        return refuse(409, "Ben Sato changed example 1 while you wrote.", "row_changed");
      }),
    );
    const { user } = openPage("/data/ds_1/rows?row=1");
    await user.click(await screen.findByRole("button", { name: "Edit" }));
    await user.type(screen.getByLabelText("Answer"), " Mine.");
    await user.click(screen.getByRole("button", { name: "Keep this change" }));
    expect(await screen.findByText("Ben Sato changed example 1 while you wrote.")).toBeVisible();
    expect(await screen.findByText("Theirs.")).toBeVisible();
    expect(screen.getByLabelText<HTMLTextAreaElement>("Answer").value).toContain("Mine.");
    await user.click(screen.getByRole("button", { name: "Keep mine" }));
    await waitFor(() => expect(bodies).toHaveLength(2));
    expect(bodies[1]?.seen).toEqual({ messages: theirs });
  });
});

describe("what is not saved", () => {
  const changes: RowChange[] = [
    { type: "edit_row", number: 1, content: { messages: messagesOf(1) } },
    { type: "edit_row", number: 1, content: { messages: messagesOf(2) } },
    { type: "exclude_rows", numbers: [3, 4, 5] },
    { type: "include_rows", numbers: [5] },
  ];

  it("is there after a refresh, can be taken back, and becomes a version", async () => {
    showDraft(makeDraft(...changes));
    const undone = sent("post", "*/v1/datasets/:id/draft/undo", makeDraft(...changes.slice(0, 3)));
    const saved = sent(
      "post",
      "*/v1/datasets/:id/draft/save",
      makeVersion({ number: 2, status: "validating" }),
    );
    const { user } = openPage("/data/ds_1/rows");
    const bar = await screen.findByRole("region", { name: "Changes that are not saved" });
    expect(bar).toHaveTextContent("1 example changed, 2 left out");
    await user.click(within(bar).getByRole("button", { name: "Undo" }));
    await waitFor(() => expect(bar).toHaveTextContent("1 example changed, 3 left out"));
    expect(undone).toHaveLength(1);
    showDraft(makeDraft());
    await user.click(within(bar).getByRole("button", { name: "Save as new version" }));
    await waitFor(() =>
      expect(screen.queryByRole("region", { name: "Changes that are not saved" })).toBeNull(),
    );
    expect(saved).toHaveLength(1);
  });

  it("is discarded only when asked twice, and is all one can do with an old one", async () => {
    showDraft({ ...makeDraft(...changes), is_stale: true });
    const gone = sent("delete", "*/v1/datasets/:id/draft", { deleted: true });
    const { user } = openPage("/data/ds_1/rows");
    const bar = await screen.findByRole("region", { name: "Changes that are not saved" });
    expect(bar).toHaveTextContent("Somebody made another version meanwhile.");
    expect(within(bar).queryByRole("button", { name: "Save as new version" })).toBeNull();
    await user.click(within(bar).getByRole("button", { name: "Discard" }));
    expect(gone).toHaveLength(0);
    const dialog = await screen.findByRole("dialog");
    await user.click(within(dialog).getByRole("button", { name: "Discard" }));
    await waitFor(() => expect(gone).toHaveLength(1));
  });
});
