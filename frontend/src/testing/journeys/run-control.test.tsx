import { act, screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { FakeEventSource } from "@/testing/fake-event-source";
import { listOf, makeMetrics, makeRun } from "@/testing/fixtures";
import { openPage } from "@/testing/open-page";
import { ASTRAY, findRun, WAITING } from "@/testing/run-fixtures";
import { server } from "@/testing/setup";

const JOB = "*/v1/fine_tuning/jobs/:id";

describe("pausing", () => {
  it("says what happens, then shows the run at rest, and resumes it", async () => {
    let run = makeRun();
    server.use(
      http.get(JOB, () => HttpResponse.json(run)),
      http.post(`${JOB}/pause`, () => {
        run = makeRun({ status: "paused", stage: null, actions: ["resume", "cancel", "clone"] });
        return HttpResponse.json({ ...makeRun(), pause_requested: true });
      }),
      http.post(`${JOB}/resume`, () =>
        HttpResponse.json(makeRun({ status: "queued", queue_position: 1, progress: null })),
      ),
    );
    const { user } = openPage("/train/ftjob-1");
    await user.click(await screen.findByRole("button", { name: "Pause" }));
    expect(
      await screen.findByText(/It saves its place and stops\. You pay only for what it has done/),
    ).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Pause the run" }));
    expect(await screen.findByRole("button", { name: "Pausing…" })).toBeDisabled();
    act(() => FakeEventSource.opened[0]?.send("job", run));
    expect(await screen.findByText(/Nothing runs and nothing is charged/)).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Resume" }));
    expect(await screen.findByText(/Next in line/)).toBeVisible();
  });

  it("by a limit says which, and raises it", async () => {
    const sent: unknown[] = [];
    server.use(
      http.patch(JOB, async ({ request, params }) => {
        sent.push(await request.json());
        return HttpResponse.json(findRun(params.id));
      }),
      http.post(`${JOB}/resume`, ({ params }) => {
        sent.push("resume");
        return HttpResponse.json({ ...findRun(params.id), status: "queued", failure: null, blame: null });
      }),
    );
    const { user } = openPage("/train/ftjob-7");
    expect(await screen.findByText(/it reached the limit of \$0\.040 that was set for it/)).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Raise it and resume" }));
    await waitFor(() => expect(sent).toEqual([{ max_cost_usd: 0.06 }, "resume"]));
  });
});

describe("a failed run", () => {
  it("says what happened, whose fault it was, what it cost and what was kept, and goes on", async () => {
    let isResumed = false;
    server.use(
      http.post(`${JOB}/resume`, ({ params }) => {
        isResumed = true;
        return HttpResponse.json({ ...findRun(params.id), status: "queued", failure: null });
      }),
    );
    const { user } = openPage("/train/ftjob-3");
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("stopped answering, again and again");
    expect(alert).toHaveTextContent("Ours, not yours.");
    expect(alert).toHaveTextContent("What it costNothing.");
    expect(alert).toHaveTextContent("up to step 115 of 242");
    await user.click(within(alert).getByRole("button", { name: "Continue from where it was" }));
    await waitFor(() => expect(isResumed).toBe(true));
  });

  it("is made again by one button with the change that helps", async () => {
    const sent: unknown[] = [];
    server.use(
      http.post(`${JOB}/clone`, async ({ request }) => {
        sent.push(await request.json());
        return HttpResponse.json(makeRun({ id: "ftjob-9" }));
      }),
    );
    const { user, history } = openPage("/train/ftjob-8");
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("learning rate 1e-3 → 2e-4");
    expect(within(alert).getAllByRole("button")).toHaveLength(1);
    await user.click(within(alert).getByRole("button", { name: "Try again, in smaller steps" }));
    await waitFor(() => expect(history.location.pathname).toBe("/train/ftjob-9"));
    expect(sent).toEqual([ASTRAY.failure?.fix?.changes]);
  });
});

describe("running again with a change", () => {
  it("begins as the run was, marks what differs and sends only that", async () => {
    const sent: unknown[] = [];
    server.use(
      http.post(`${JOB}/clone`, async ({ request, params }) => {
        sent.push(params.id, await request.json());
        return HttpResponse.json(makeRun({ id: "ftjob-9" }));
      }),
    );
    const { user, history } = openPage("/train/ftjob-2");
    await user.click(await screen.findByRole("link", { name: "Run again with a change" }));
    expect(await screen.findByLabelText("Name of your model")).toHaveValue("Claims helper");
    expect(screen.getByText(/Nothing is changed yet/)).toBeVisible();
    await user.type(screen.getByLabelText("Rank"), "32");
    expect(await screen.findByText("What will be different:")).toBeVisible();
    expect(screen.getByText("32").closest("code")).toHaveTextContent("rank 16 → 32");
    await user.click(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(history.location.pathname).toBe("/train/ftjob-9"));
    expect(sent).toEqual(["ftjob-2", { adapter: { rank: 32 } }]);
  });
});

describe("the line", () => {
  it("says whose turn it is and changes the order by keyboard", async () => {
    const sent: unknown[] = [];
    const order = [...WAITING];
    server.use(
      http.get("*/v1/fine_tuning/queue", () => HttpResponse.json(listOf(order))),
      http.post(`${JOB}/move`, async ({ request, params }) => {
        sent.push(params.id, await request.json());
        order.unshift(...order.splice(1, 1));
        return HttpResponse.json(findRun(params.id));
      }),
    );
    const { user } = openPage("/train");
    const list = await screen.findByRole("list", { name: "Waiting runs" });
    expect(within(list).getByText("2nd in line · starts in about 9 minutes")).toBeVisible();
    const up = within(list).getByRole("button", { name: "Move Letters to insurers up" });
    act(() => up.focus());
    await user.keyboard("{Enter}");
    await waitFor(() =>
      expect(
        within(list)
          .getAllByRole("link")
          .map((link) => link.textContent),
      ).toEqual(["Letters to insurers", "Billing answers", "Night shift notes"]),
    );
    await waitFor(() => expect(sent).toEqual(["ftjob-5", { to: "front" }]));
    expect(screen.getByText("Letters to insurers is now 1 of 3.")).toBeInTheDocument();
  });

  it("is left and filtered by the address", async () => {
    const { user, history } = openPage("/train?state=paused");
    const table = await screen.findByRole("table", { name: "Training runs" });
    expect(within(table).getByRole("link", { name: "Discharge letters" })).toBeVisible();
    expect(within(table).queryByRole("link", { name: "First try" })).toBeNull();
    await user.selectOptions(screen.getByLabelText("Which runs"), "failed");
    expect(await within(table).findByRole("link", { name: "First try" })).toBeVisible();
    expect(history.location.search).toContain("state=failed");
  });

  it("takes a start, a limit and a priority of a run that waits", async () => {
    const sent: unknown[] = [];
    server.use(
      http.patch(JOB, async ({ request, params }) => {
        sent.push(await request.json());
        return HttpResponse.json(findRun(params.id));
      }),
    );
    const { user } = openPage("/train/ftjob-4");
    expect(await screen.findByText(/2nd in line · starts in about 9 minutes\./)).toBeVisible();
    await user.click(screen.getByText("Advanced"));
    await user.selectOptions(screen.getByLabelText("Priority"), "Before my other runs");
    await user.type(screen.getByLabelText("Spending limit"), "2");
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(sent).toEqual([{ priority: 50, max_cost_usd: 2 }]));
  });
});

describe("the chart", () => {
  it("asks for as many points as it is wide, and for a part of it in detail", async () => {
    const asked: string[] = [];
    server.use(
      http.get(`${JOB}/metrics`, ({ request }) => {
        asked.push(new URL(request.url).search);
        return HttpResponse.json({ data: makeMetrics(242), num_steps: 100_000, is_downsampled: true });
      }),
    );
    const { user } = openPage("/train/ftjob-2");
    expect(await screen.findByText(/121 of 100,000 points/)).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Show the last tenth" }));
    await waitFor(() => expect(asked.at(-1)).toMatch(/max_points=\d+&from_step=217&to_step=242/));
    await user.click(await screen.findByRole("button", { name: "Show the whole run" }));
    expect(screen.queryByRole("button", { name: "Show the whole run" })).toBeNull();
  });

  it("goes on after the last event it saw when the stream has to be opened anew", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    try {
      openPage("/train/ftjob-1");
      await waitFor(() => expect(FakeEventSource.opened).toHaveLength(1));
      act(() => {
        FakeEventSource.opened[0]?.send("metrics", [{ step: 150, train_loss: 1.4 }], "871");
        FakeEventSource.opened[0]?.fail(true);
      });
      await act(() => vi.advanceTimersByTimeAsync(11_000));
      expect(FakeEventSource.opened[1]?.url).toContain("last_event_id=871");
    } finally {
      vi.useRealTimers();
    }
  });

  it("tells of a machine that went away and from where another went on", async () => {
    openPage("/train/ftjob-1");
    const story = await screen.findByRole("region", { name: "What happened" });
    expect(story).toHaveTextContent("The machine that worked on this stopped answering");
    expect(story).toHaveTextContent("It went on after step 115. Nothing was lost.");
    expect(story).toHaveTextContent("You pay for no step twice");
  });
});
