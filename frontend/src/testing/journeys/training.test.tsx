import { act, screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { DONE, makeEstimates, makeRun } from "@/testing/fixtures";
import { FakeEventSource } from "@/testing/fake-event-source";
import { refuse } from "@/testing/handlers";
import { LEAKAGE, REHEARSAL } from "@/testing/run-fixtures";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

interface Sent {
  key: string | null;
  body: Record<string, unknown>;
}

function recordStarts(answer: () => Response): Sent[] {
  const sent: Sent[] = [];
  server.use(
    http.post("*/v1/fine_tuning/jobs", async ({ request }) => {
      sent.push({
        key: request.headers.get("idempotency-key"),
        body: (await request.json()) as Record<string, unknown>,
      });
      return answer();
    }),
  );
  return sent;
}

describe("starting a run", () => {
  it("begins once, however often Start is pressed", async () => {
    const sent = recordStarts(() => HttpResponse.json(makeRun()));
    const { user, history } = openPage("/train/new?dataset=ds_1");
    await user.click(await screen.findByRole("radio", { name: /Fast/ }));
    await user.dblClick(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(history.location.pathname).toBe("/train/ftjob-1"));
    expect(sent).toHaveLength(1);
    expect(sent[0]?.body).toMatchObject({
      recipe: "fast",
      dataset_version_id: "dsv_1",
      name: "Front desk tickets",
    });
  });

  it("is tried again after a failure under the same key, and keeps what was chosen", async () => {
    const sent = recordStarts(() =>
      sent.length === 1 ? refuse(409, "The queue is closed.", "conflict") : HttpResponse.json(makeRun()),
    );
    const { user, history } = openPage("/train/new?dataset=ds_1");
    await user.click(await screen.findByRole("radio", { name: /Best/ }));
    await user.click(screen.getByRole("button", { name: "Start" }));
    expect(await screen.findByRole("alert")).toHaveTextContent(
      "The queue is closed. What you chose is kept.",
    );
    await user.click(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(history.location.pathname).toBe("/train/ftjob-1"));
    expect(sent[0]?.key).toBeTruthy();
    expect(sent[1]?.key).toBe(sent[0]?.key);
  });

  it("says of Fast that it is no quicker, where that was set, and only there", async () => {
    const note = /No quicker with what you set/;
    const { user } = openPage("/train/new?dataset=ds_1");
    expect(await screen.findByRole("radio", { name: /Fast/ })).toBeVisible();
    expect(screen.queryByText(note)).toBeNull();
    const reply = makeEstimates();
    const [fast, balanced] = reply.estimates;
    const estimates = [fast, { ...balanced, seconds_low: (fast?.seconds_low ?? 0) / 2 }];
    server.use(http.post("*/v1/fine_tuning/estimates", () => HttpResponse.json({ ...reply, estimates })));
    await user.click(screen.getByText("Advanced"));
    await user.type(screen.getByLabelText("Rank"), "32");
    expect(await screen.findByText(note)).toBeVisible();
  });

  it("sends only the knobs that were turned", async () => {
    const sent = recordStarts(() => HttpResponse.json(makeRun()));
    const { user } = openPage("/train/new?dataset=ds_1");
    await user.click(await screen.findByText("Advanced"));
    await user.type(screen.getByLabelText("Rank"), "32");
    await user.click(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(sent).toHaveLength(1));
    expect(sent[0]?.body.adapter).toEqual({ rank: 32 });
    expect(sent[0]?.body).not.toHaveProperty("method");
    expect(sent[0]?.body).not.toHaveProperty("training");
  });

  it("is checked with other examples, and warns of those that are learned from too", async () => {
    const sent = recordStarts(() => HttpResponse.json(makeRun()));
    const asked: unknown[] = [];
    server.use(
      http.post("*/v1/fine_tuning/jobs/dry_run", async ({ request }) => {
        asked.push(await request.json());
        return HttpResponse.json(REHEARSAL);
      }),
    );
    const { user } = openPage("/train/new?dataset=ds_1");
    const select = await screen.findByLabelText("Check the result with");
    expect(within(select).queryByRole("option", { name: "Front desk tickets" })).toBeNull();
    expect(asked).toEqual([]);
    await user.selectOptions(select, "Reviews");
    const notice = (await screen.findByText("The result will look better than it is")).closest("div");
    expect(notice).toHaveTextContent(
      "8 of the 600 examples that it is checked with are among those to learn from",
    );
    expect(notice).toHaveTextContent("Row 3 is the same as row 1,040 of those to learn from.");
    expect(notice).toHaveTextContent("Row 58 is nearly row 12 of those to learn from.");
    expect(notice).toHaveTextContent("And 6 more.");
    expect(notice).toHaveTextContent("Leave them out of one of the two sets");
    expect(asked).toEqual([
      expect.objectContaining({ dataset_version_id: "dsv_1", validation_dataset_version_id: "dsv_2" }),
    ]);
    await user.click(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(sent).toHaveLength(1));
    expect(sent[0]?.body).toMatchObject({ validation_dataset_version_id: "dsv_2" });
  });

  it.each([
    [{ ...LEAKAGE, num_same: 0, num_nearly: 0, rows: [], advice: null }, "No example is in both."],
    [null, /are looked for when the run begins/],
  ])("says what is known of examples in both", async (leakage, said) => {
    server.use(
      http.post("*/v1/fine_tuning/jobs/dry_run", () => HttpResponse.json({ ...REHEARSAL, leakage })),
    );
    const { user } = openPage("/train/new?dataset=ds_1");
    await user.selectOptions(await screen.findByLabelText("Check the result with"), "Reviews");
    expect(await screen.findByText(said)).toBeVisible();
    expect(screen.queryByText("The result will look better than it is")).toBeNull();
  });

  it("learns from preferences as preferences, and lets an engineer choose how", async () => {
    const sent = recordStarts(() => HttpResponse.json(makeRun()));
    const { user } = openPage("/train/new?dataset=ds_3");
    expect(await screen.findByText("480 examples · preferences")).toBeVisible();
    await user.click(screen.getByText("Advanced"));
    expect(screen.getByLabelText("Label smoothing")).toBeVisible();
    await user.selectOptions(screen.getByLabelText("Learns from"), "Preferences and answers in one");
    expect(screen.queryByLabelText("Label smoothing")).toBeNull();
    await user.type(screen.getByLabelText("Beta"), "0.2");
    await user.click(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(sent).toHaveLength(1));
    expect(sent[0]?.body.method).toEqual({ type: "orpo", orpo: { hyperparameters: { beta: 0.2 } } });
  });

  it("says what plain text teaches and sends it as that", async () => {
    const sent = recordStarts(() => HttpResponse.json(makeRun()));
    const { user } = openPage("/train/new?dataset=ds_4");
    await user.click(await screen.findByText("Advanced"));
    expect(screen.getByText(/It reads your text and learns its words/)).toBeVisible();
    expect(screen.queryByLabelText("Beta")).toBeNull();
    await user.click(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(sent).toHaveLength(1));
    expect(sent[0]?.body.method).toEqual({ type: "continued_pretraining" });
  });

  it("shows each method its own settings only, and leaves behind those of another", async () => {
    const sent = recordStarts(() => HttpResponse.json(makeRun()));
    const { user } = openPage("/train/new?dataset=ds_1");
    await user.click(await screen.findByText("Advanced"));
    await user.type(screen.getByLabelText("Rank"), "32");
    await user.selectOptions(screen.getByLabelText("Method"), "Learned words (prompt tuning)");
    expect(screen.queryByLabelText("Rank")).toBeNull();
    await user.type(screen.getByLabelText("Virtual tokens"), "40");
    await user.selectOptions(screen.getByLabelText("Base model in memory"), "4 bits (NF4)");
    await user.click(screen.getByText("Every number of the training loop"));
    await user.selectOptions(screen.getByLabelText("Schedule"), "Linear");
    await user.click(screen.getByRole("button", { name: "Start" }));
    await waitFor(() => expect(sent).toHaveLength(1));
    expect(sent[0]?.body.adapter).toEqual({
      type: "prompt_tuning",
      num_virtual_tokens: 40,
      quantization: "nf4",
    });
    expect(sent[0]?.body.training).toEqual({ schedule: "linear" });
  });
});

async function openLive() {
  const page = openPage("/train/ftjob-1");
  await waitFor(() => expect(FakeEventSource.opened).toHaveLength(1));
  const source = FakeEventSource.opened[0];
  if (!source) throw new Error("no stream was opened");
  return { ...page, source };
}

describe("a live run", () => {
  it("moves with the stream and ends with the model to try", async () => {
    const { source } = await openLive();
    expect(await screen.findByText("step 148 of 242")).toBeVisible();
    const progress = { step: 200, total_steps: 242, fraction: 0.83, seconds_left: 200 };
    act(() => {
      source.send("job", makeRun({ progress }));
      source.send("metrics", { step: 150, train_loss: 1.4 }, "150");
    });
    expect(await screen.findByText("step 200 of 242")).toBeVisible();
    expect(screen.getByRole("img", { name: /up to step 150/ })).toBeInTheDocument();
    act(() => source.send("job", makeRun({ ...DONE, id: "ftjob-1" })));
    expect(await screen.findByText("Your model is ready")).toBeVisible();
    expect(screen.getByRole("link", { name: "Try it" })).toHaveAttribute(
      "href",
      expect.stringContaining("/playground"),
    );
  });

  it("says so when the stream is lost, and goes on by asking", async () => {
    const { source } = await openLive();
    await screen.findByText("step 148 of 242");
    act(() => source.fail(true));
    expect(await screen.findByText("reconnecting")).toBeVisible();
  });

  it("is cancelled only after saying what it costs", async () => {
    const { user } = await openLive();
    await user.click(await screen.findByRole("button", { name: "Cancel" }));
    expect(await screen.findByText(/You pay for the time it worked, \$0\.036 until now/)).toBeInTheDocument();
    await user.click(await screen.findByRole("button", { name: "Cancel the run" }));
    await waitFor(() => expect(screen.queryByText("Cancel this run?")).toBeNull());
  });
});
