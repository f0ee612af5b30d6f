import { NO_SETTINGS, orderOf, requestOf, type Round, voteBody } from "@/features/playground/rounds";

function makeRound(changes: Partial<Round> = {}): Round {
  const answer = { state: "done" as const, servedBy: null, seconds: 1 };
  return {
    id: "r1",
    conversation: 0,
    question: "Q1",
    settings: NO_SETTINGS,
    contestants: ["a", "b"].map((model) => ({ model, isAlias: false, prompt: "", profile: null })),
    order: [1, 0],
    isBlind: true,
    isKept: false,
    answers: [
      { ...answer, content: "from a" },
      { ...answer, content: "from b" },
    ],
    vote: null,
    ...changes,
  };
}

describe("the order in which answers are shown", () => {
  it("is drawn with every order as likely, and stays until it was told", () => {
    const seen = new Map<string, number>();
    for (let time = 0; time < 6000; time += 1) {
      const order = orderOf(3, true, undefined).join("");
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    expect(seen.size).toBe(6);
    // six times 1000, and seven deviations around it
    for (const times of seen.values()) expect(Math.abs(times - 1000)).toBeLessThan(202);
    expect(orderOf(2, true, makeRound())).toEqual([1, 0]);
    expect(orderOf(2, true, makeRound({ vote: { verdict: "all_bad", best: null } }), () => 0.99)).toEqual([
      0, 1,
    ]);
    expect(orderOf(2, false, makeRound())).toEqual([0, 1]);
  });
});

describe("a vote", () => {
  it("is on the answers as they were seen, without those that broke off", () => {
    const round = makeRound();
    expect(voteBody(round, [round], { verdict: "best", best: 0 })).toMatchObject({
      messages: [{ role: "user", content: "Q1" }],
      answers: [
        { model: "b", content: "from b", messages: null },
        { model: "a", content: "from a", messages: null },
      ],
      best: 1,
    });
    const third = { model: "c", isAlias: false, prompt: "", profile: null };
    const broken = { content: "fro", state: "stopped" as const, servedBy: null, seconds: 1 };
    const three = makeRound({
      order: [2, 1, 0],
      contestants: [...round.contestants, third],
      answers: [...round.answers, broken],
    });
    expect(voteBody(three, [three], { verdict: "best", best: 1 }).best).toBe(0);
    expect(voteBody(three, [three], { verdict: "best", best: 1 }).answers).toHaveLength(2);
  });

  it("tells what was said before an answer where that is not the same for all", () => {
    const first = makeRound();
    const second = makeRound({ id: "r2", question: "Q2" });
    const said = voteBody(second, [first, second], { verdict: "all_equal", best: null });
    expect(said.messages.map((message) => message.content)).toEqual(["Q1", "from b", "Q2"]);
    expect(said.answers[1]?.messages?.map((message) => message.content)).toEqual(["Q1", "from a", "Q2"]);
    const voted = makeRound({ vote: { verdict: "best", best: 0 } });
    const after = voteBody(second, [voted, second], { verdict: "all_equal", best: null });
    expect(after.messages.map((message) => message.content)).toEqual(["Q1", "from a", "Q2"]);
    expect(after.answers[1]?.messages).toBeNull();
  });

  it("tells what each was told first where one has a prompt of its own", () => {
    const round = makeRound({ settings: { ...NO_SETTINGS, system: "To all." } });
    expect(voteBody(round, [round], { verdict: "best", best: 0 })).toMatchObject({
      messages: [{ role: "system", content: "To all." }, { role: "user" }],
      answers: [{ system_prompt: null }, { system_prompt: null }],
    });
    const [a, b] = round.contestants;
    if (!a || !b) throw new Error("two");
    const prompted = { ...round, contestants: [{ ...a, prompt: "To a." }, b] };
    expect(voteBody(prompted, [prompted], { verdict: "best", best: 0 })).toMatchObject({
      messages: [{ role: "user" }],
      answers: [{ system_prompt: "To all." }, { system_prompt: "To a." }],
    });
  });
});

describe("a request", () => {
  it("leaves to a stable name what its prompt says, unless it is set here", () => {
    const [a, b] = makeRound().contestants;
    if (!a || !b) throw new Error("two");
    const round = makeRound({ contestants: [{ ...a, isAlias: true }, b] });
    expect(requestOf(round, 0, [round])).toEqual({ model: "a", messages: [{ role: "user", content: "Q1" }] });
    expect(requestOf(round, 1, [round])).toMatchObject({ temperature: 0.3, max_tokens: 1024 });
    const set = { ...round, settings: { ...NO_SETTINGS, temperature: 1.2, stop: "x\n\ny" } };
    expect(requestOf(set, 0, [set])).toMatchObject({ temperature: 1.2, stop: ["x", "y"] });
  });

  it("begins anew where others take part", () => {
    const first = makeRound();
    const second = makeRound({ id: "r2", question: "Q2", conversation: 1 });
    expect(requestOf(second, 0, [first, second]).messages).toEqual([{ role: "user", content: "Q2" }]);
  });
});
