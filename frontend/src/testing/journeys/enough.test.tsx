import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { ScalingStudy } from "@/api/types";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { makeStudy, studiesOf } from "@/testing/scaling-fixtures";
import { server } from "@/testing/setup";

const LIST = "*/v1/dataset_versions/:id/scaling_studies";

function answerWith(study: ScalingStudy) {
  server.use(http.get(LIST, () => HttpResponse.json(studiesOf([study]))));
}

async function openCheck() {
  const { user } = openPage("/data/ds_1");
  const section = (await screen.findByText("Is it enough?")).closest("section");
  return { user, section: within(section ?? document.body) };
}

describe("whether examples are enough", () => {
  it("says what it waits for before it runs", async () => {
    const message = "It waits for its turn: 2 other jobs are before it.";
    const queued = makeStudy({
      status: "queued",
      result: null,
      fit: null,
      points: [],
      waits_for: { reason: "turn", message, until: null },
    });
    server.use(http.get(LIST, () => HttpResponse.json(studiesOf([queued]))));
    const { section } = await openCheck();
    expect(await section.findByText(/2 other jobs are before it\. It takes about/)).toBeVisible();
  });

  it("says the price before it starts, shows how far it is, and can be cancelled", async () => {
    const running = makeStudy({
      status: "running",
      progress: 0.5,
      learning_from: 200,
      result: null,
      fit: null,
    });
    let isCancelled = false;
    server.use(
      http.post(LIST, () => HttpResponse.json(running)),
      http.post("*/v1/scaling_studies/:id/cancel", () => {
        isCancelled = true;
        return HttpResponse.json(makeStudy({ status: "cancelled", result: null, cost_usd: 0.004 }));
      }),
    );
    const { user, section } = await openCheck();
    await user.click(await section.findByRole("button", { name: "Find out" }));
    const asked = await screen.findByRole("dialog");
    // the dialog fades in
    await waitFor(() => expect(within(asked).getByText(/on 100, 200, 400 examples/)).toBeVisible());
    expect(within(asked).getByText(/4 – 9 minutes and cost \$0.0080 – \$0.018/)).toBeVisible();
    await user.click(within(asked).getByRole("button", { name: "Start the check" }));
    expect(await section.findByText(/Learning from 200 of 400 examples/)).toBeVisible();
    expect(section.getByRole("progressbar")).toHaveAttribute("aria-valuenow", "50");
    await user.click(section.getByRole("button", { name: "Cancel the check" }));
    expect(await section.findByText(/It cost \$0.0040/)).toBeVisible();
    expect(isCancelled).toBe(true);
  });

  it.each([
    ["more_would_help", "More would help", "About 300 more rows should bring the error down by 6 to 13 %."],
    ["enough", "Enough", "More of the same would change little."],
    ["cannot_tell", "Cannot tell", "The differences are within chance."],
  ] as const)("tells the verdict %s with its numbers and its limits", async (verdict, headline, words) => {
    const made = makeStudy();
    const sentence = `${headline}: ${words.charAt(0).toLowerCase()}${words.slice(1)}`;
    answerWith(makeStudy({ result: made.result && { ...made.result, verdict, sentence } }));
    const { section } = await openCheck();
    expect(await section.findByText(headline)).toBeVisible();
    expect(section.getByText(words)).toBeVisible();
    expect(
      section.getByRole("img", { name: /100 examples: 1.600, 200 examples: 1.400/ }),
    ).toBeInTheDocument();
    const table = section.getByRole("table", { name: "Error by number of examples" });
    expect(within(table).getByText("700, expected")).toBeVisible();
    expect(section.getByText("How sure is this?")).toBeVisible();
  });

  it("says how many it takes, as the server tells it", async () => {
    server.use(
      http.get(LIST, () => HttpResponse.json({ ...studiesOf([]), min_train: 2000, min_heldout: 10 })),
    );
    const { section } = await openCheck();
    expect(await section.findByText(/It takes at least 2,000 and 10, about/)).toBeVisible();
    expect(section.queryByRole("button")).toBeNull();
  });

  it("says why too few cannot be judged, and what failed", async () => {
    server.use(
      http.get("*/v1/dataset_versions/:id/scaling_estimate", () =>
        refuse(400, "There are 12 examples to learn from.", "too_few_rows_to_judge"),
      ),
    );
    const { section } = await openCheck();
    expect(await section.findByText("There are 12 examples to learn from.")).toBeVisible();
    expect(section.queryByRole("button")).toBeNull();
  });
});
