import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { makeErasure } from "@/testing/erasure-handlers";
import { listOf, makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

const PATH = "*/v1/erasures";

describe("forgetting a person", () => {
  it("goes from the data page over what was found and a typed word to the receipt", async () => {
    const asked: unknown[] = [];
    let status: "found" | "erased" = "found";
    server.use(
      http.post(PATH, async ({ request }) => {
        asked.push(await request.json());
        return HttpResponse.json(makeErasure());
      }),
      http.get(`${PATH}/:id`, () =>
        HttpResponse.json(
          status === "found"
            ? makeErasure()
            : makeErasure({ status, num_rows_erased: 3, examples: [], confirmed_by_name: "Mara Lindqvist" }),
        ),
      ),
      http.post(`${PATH}/:id/confirm`, () => {
        asked.push("confirm");
        status = "erased";
        return HttpResponse.json(makeErasure({ status: "erasing", examples: [] }));
      }),
    );
    const { user, history } = openPage("/data");
    await user.click(await screen.findByRole("link", { name: "Forget a person" }));
    await user.type(
      await screen.findByLabelText("Name, e-mail address, phone number"),
      "Ada Lovelace{Enter}  {Enter}ada@example.com",
    );
    await user.click(screen.getByRole("button", { name: "Look for this person" }));
    expect(await screen.findByText("3 examples would be removed")).toBeVisible();
    expect(asked).toEqual([{ terms: ["Ada Lovelace", "ada@example.com"] }]);
    expect(history.location.search).toBe("?id=erase_1");
    expect(screen.getByText("I am Ada Lovelace. Can I come on Friday?")).toBeVisible();
    expect(screen.getByText(/3 examples in version 1, what version 2 tells/)).toBeVisible();
    expect(screen.getByRole("link", { name: "Front desk" })).toBeVisible();
    expect(screen.getByText("Names and notes").nextSibling).toHaveTextContent(/^5/);
    expect(screen.getByText("Messages").nextSibling).toHaveTextContent(/^6/);
    await user.click(screen.getByRole("button", { name: "Remove all of it" }));
    const dialog = within(await screen.findByRole("dialog"));
    expect(dialog.getByRole("button", { name: "Remove for good" })).toBeDisabled();
    await user.type(dialog.getByLabelText("Type ERASE to confirm"), "ERASE");
    await user.click(dialog.getByRole("button", { name: "Remove for good" }));
    expect(await screen.findByText("3 examples removed for good", {}, { timeout: 4000 })).toBeVisible();
    expect(asked).toHaveLength(2);
    expect(screen.getByText(/confirmed by Mara Lindqvist/)).toBeVisible();
    expect(screen.queryByText("I am Ada Lovelace. Can I come on Friday?")).toBeNull();
  });

  it("leads to whatever somebody must change by hand", async () => {
    openPage("/data/erase?id=erase_1");
    const section = within(await screen.findByRole("region", { name: "Change these yourself" }));
    expect(section.getAllByRole("link").map((link) => link.getAttribute("href"))).toEqual([
      "/data/ds_3",
      "/aliases/ask-ada-lovelace",
      expect.stringContaining("/models/ft"),
      "/settings/webhooks/whe_1",
      "/settings?part=members",
      "/settings?part=workspace",
      "/aliases",
    ]);
  });

  it("has words for a person who is nowhere but in names", async () => {
    const nowhere = {
      num_rows: 0,
      datasets: [],
      files: [],
      models: [],
      num_completions: 0,
      num_preferences: 0,
    };
    const found = makeErasure({ ...nowhere, num_drafts: 0, num_grounds: 0, examples: [], by_hand: [] });
    server.use(http.get(`${PATH}/:id`, () => HttpResponse.json(found)));
    openPage("/data/erase?id=erase_1");
    expect(await screen.findByText("Names and notes")).toBeVisible();
    expect(screen.getByRole("button", { name: "Remove all of it" })).toBeVisible();
  });

  it("says why nothing could be removed", async () => {
    const why = "1 training run learns from rows that are to be removed, or will.";
    server.use(http.post(`${PATH}/:id/confirm`, () => refuse(409, why, "erasure_runs_open")));
    const { user } = openPage("/data/erase?id=erase_1");
    await user.click(await screen.findByRole("button", { name: "Remove all of it" }));
    const dialog = within(await screen.findByRole("dialog"));
    await user.type(dialog.getByLabelText("Type ERASE to confirm"), "ERASE{Enter}");
    expect(await dialog.findByText(why)).toBeVisible();
  });

  it("says that nothing was found, and forgets the search", async () => {
    const { user, history } = openPage("/data/erase?id=erase_5");
    expect(await screen.findByText("Nothing was found")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Forget this search" }));
    await vi.waitFor(() => expect(history.location.search).toBe(""));
  });

  it("goes on where it stopped", async () => {
    const { user } = openPage("/data/erase?id=erase_4");
    expect(await screen.findByText("It stopped before the end")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Go on" }));
    expect(await screen.findByText("Being removed")).toBeVisible();
  });

  it("says what the page is for where nobody was looked for, and what is wrong", async () => {
    server.use(
      http.get(PATH, () => HttpResponse.json(listOf([]))),
      http.post(PATH, () => refuse(400, "Shorter ones are in too many rows.", "invalid_terms")),
    );
    const { user } = openPage("/data/erase");
    expect(await screen.findByText("Nobody was looked for yet")).toBeVisible();
    await user.type(screen.getByLabelText("Name, e-mail address, phone number"), "al");
    await user.click(screen.getByRole("button", { name: "Look for this person" }));
    expect(await screen.findByText("Shorter ones are in too many rows.")).toBeVisible();
  });

  it("is only for who may", async () => {
    const permissions = makeSession().permissions.filter((one) => one !== "datasets:erase");
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json({ ...makeSession(), permissions })));
    openPage("/data/erase");
    expect(await screen.findByText("You cannot see this page")).toBeVisible();
  });
});
