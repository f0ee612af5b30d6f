import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { BASE, TUNED } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { accessibilityProblems, openPage, settled } from "@/testing/open-page";
import { server } from "@/testing/setup";
import { trafficOf } from "@/testing/traffic-fixtures";

const ADDRESS = `/models/${encodeURIComponent(TUNED)}`;

async function section() {
  const title = await screen.findByRole("heading", { name: "How it is used" });
  return within(title.closest("section") ?? document.body);
}

describe("the traffic of a model", () => {
  it("tells questions, how soon they were answered, and tokens by day", async () => {
    openPage(ADDRESS);
    const traffic = await section();
    expect(await traffic.findByText("248")).toBeVisible();
    expect(traffic.getByText("2 got no answer, 1 left before its end")).toBeVisible();
    expect(traffic.getByText("0.4 s")).toBeVisible();
    expect(traffic.getByText("19 of 20 within 1.8 s")).toBeVisible();
    expect(traffic.getByText("19 of 20 within 6.9 s")).toBeVisible();
    expect(traffic.getByRole("img", { name: "Tokens a day, at most 22,275 tokens" })).toBeVisible();
    expect(traffic.getByText("engine_died").parentElement).toHaveTextContent("engine_died 2 times");
  });

  it("goes back 30 days, and does so again at the same address", async () => {
    const { user, history } = openPage(ADDRESS);
    const traffic = await section();
    expect(await traffic.findByText("248")).toBeVisible();
    await user.click(traffic.getByText("30 days"));
    expect(await traffic.findByText(trafficOf(TUNED, 30).num_requests.toLocaleString("en"))).toBeVisible();
    expect(history.location.search).toBe("?days=30");
    await settled();
    expect(await accessibilityProblems()).toEqual([]);
    await user.click(traffic.getByText("7 days"));
    expect(await traffic.findByText("248")).toBeVisible();
    expect(history.location.search).toBe("");
    history.back();
    expect(await traffic.findByText(trafficOf(TUNED, 30).num_requests.toLocaleString("en"))).toBeVisible();
  });

  it.each([`${ADDRESS}?days=30`, "/aliases/support-bot?days=30"])(
    "is told of 30 days at %s",
    async (address) => {
      openPage(address);
      const traffic = await section();
      expect(await traffic.findByText(trafficOf(TUNED, 30).num_requests.toLocaleString("en"))).toBeVisible();
      expect(traffic.getByRole("radio", { name: "30 days" })).toBeChecked();
    },
  );

  it("is of a week where the address says something else", async () => {
    openPage(`${ADDRESS}?days=365`);
    expect(await (await section()).findByText("248")).toBeVisible();
  });

  it("says that nobody has asked it", async () => {
    const { user } = openPage(`/models/${BASE}`);
    const traffic = await section();
    expect(await traffic.findByText("Nobody has asked it this week")).toBeVisible();
    await user.click(traffic.getByText("30 days"));
    expect(await traffic.findByText("Nobody has asked it yet")).toBeVisible();
    expect(traffic.queryByRole("img", { name: /Tokens a day/ })).toBeNull();
  });

  it("is told of a stable name too", async () => {
    let asked = "";
    server.use(
      http.get("*/v1/models/:model/traffic", ({ params }) => {
        asked = String(params.model);
        return HttpResponse.json(trafficOf(asked, 7));
      }),
    );
    openPage("/aliases/support-bot");
    const traffic = await section();
    expect(await traffic.findByText("248")).toBeVisible();
    expect(asked).toBe("support-bot");
  });

  it("leaves the rest of the page where it cannot be read", async () => {
    server.use(http.get("*/v1/models/:model/traffic", () => refuse(503, "The database is away.", "x")));
    openPage(ADDRESS);
    const traffic = await section();
    expect(await traffic.findByText("We could not show how it is used")).toBeVisible();
    expect(screen.getByText("Use it in your programs")).toBeVisible();
  });
});
