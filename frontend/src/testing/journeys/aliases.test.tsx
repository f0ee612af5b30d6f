import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { AliasPlan } from "@/api/types";
import { makeAlias } from "@/testing/alias-handlers";
import { BASE, TUNED } from "@/testing/fixtures";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

describe("a stable name", () => {
  it("is led back to what it answered with before, by one click", async () => {
    const sent: unknown[] = [];
    server.use(
      http.post("*/v1/aliases/:name/roll_back", async ({ request }) => {
        sent.push(await request.json());
        return HttpResponse.json(makeAlias());
      }),
    );
    const { user } = openPage("/aliases/support-bot");
    await user.click(await screen.findByRole("button", { name: "Go back to number 2" }));
    expect(await screen.findByText("support-bot answers as it did with number 2.")).toBeVisible();
    expect(sent).toEqual([{ release: 2 }]);
  });

  it("is given to one model for all, with the reason for the history", async () => {
    const sent: AliasPlan[] = [];
    server.use(
      http.post("*/v1/aliases/:name/releases", async ({ request }) => {
        sent.push((await request.json()) as AliasPlan);
        return HttpResponse.json(makeAlias());
      }),
    );
    const { user } = openPage("/aliases/support-bot");
    await user.click(await screen.findByRole("button", { name: "Change who answers" }));
    await user.click(screen.getByRole("button", { name: "One model for all" }));
    await user.type(screen.getByRole("textbox", { name: "Why" }), "It is better");
    await user.click(screen.getByRole("button", { name: "Use it from now on" }));
    expect(await screen.findByRole("table", { name: "History" })).toBeVisible();
    expect(sent).toEqual([
      {
        arms: [{ model: TUNED, percent: 100, profile: 2 }],
        shadow: { model: BASE, profile: null },
        note: "It is better",
      },
    ]);
  });

  it("shows what was said silently beside what was sent", async () => {
    openPage("/aliases/support-bot");
    expect(await screen.findByText("Please contact the support.")).toBeVisible();
    const history = within(screen.getByRole("table", { name: "History" }));
    expect(history.getByText("Better with claims")).toBeVisible();
  });
});
