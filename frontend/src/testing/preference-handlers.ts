import { http, HttpResponse } from "msw";
import type { Duel, NewVote, Preference, Voice } from "@/api/types";
import { BASE, listOf, makeDataset, NOW_S, TUNED } from "@/testing/fixtures";

function voice(model: string, changes: Partial<Voice> = {}): Voice {
  return { model, alias: null, profile: null, prompt: null, ...changes };
}

function answer(model: string, content: string): Preference["answers"][number] {
  return { model, content, served_by: null, system_prompt: null, messages: null, voice: voice(model) };
}

export function makeVote(changes: Partial<Preference> = {}): Preference {
  return {
    id: "pref_1",
    object: "preference",
    created_at: NOW_S - 300,
    created_by: "user_1",
    created_by_name: "Mara Lindqvist",
    messages: [{ role: "user", content: "Can I move my appointment to next week?" }],
    answers: [
      answer(TUNED, "Of course. Tell me which days suit you."),
      answer(BASE, "I cannot access your calendar."),
    ],
    parameters: { temperature: 0.3 },
    verdict: "best",
    best: 0,
    is_blind: true,
    is_erased: false,
    ...changes,
  };
}

export const VOTES: Preference[] = [
  makeVote({
    id: "pref_4",
    created_at: NOW_S - 60,
    messages: [{ role: "user", content: "Do you open on Sundays?" }],
  }),
  makeVote({ id: "pref_3", verdict: "all_bad", best: null }),
  makeVote({ id: "pref_2", verdict: "all_equal", best: null, is_blind: false, created_by_name: null }),
  makeVote({ id: "pref_1", messages: [], is_erased: true, answers: [answer(TUNED, ""), answer(BASE, "")] }),
];

export function makeDuel(changes: Partial<Duel> = {}): Duel {
  return {
    object: "preference.duel",
    first: voice(TUNED),
    second: voice(BASE),
    num_votes: 32,
    num_first: 22,
    num_second: 6,
    num_equal: 3,
    num_bad: 1,
    share: 0.786,
    low: 0.605,
    high: 0.898,
    lead: "first",
    ...changes,
  };
}

const DUELS: Duel[] = [
  makeDuel(),
  makeDuel({
    first: voice(TUNED),
    second: voice(TUNED, { alias: "support-bot", profile: 2 }),
    num_first: 9,
    num_second: 7,
    share: 0.5625,
    low: 0.332,
    high: 0.769,
    lead: "undecided",
  }),
  makeDuel({
    first: voice(BASE),
    second: voice(BASE, { prompt: "1f2e3d4c5b6a" }),
    num_first: 0,
    num_second: 3,
    num_equal: 0,
    num_bad: 0,
    share: 0,
    low: 0,
    high: 0.562,
    lead: "too_few",
  }),
];

export const preferenceHandlers = [
  http.get("*/v1/preferences/wins", () => HttpResponse.json({ object: "list", data: DUELS })),
  http.get("*/v1/preferences", () => HttpResponse.json(listOf(VOTES))),
  http.post("*/v1/preferences/dataset", () => HttpResponse.json(makeDataset({ id: "ds_1" }))),
  http.post("*/v1/preferences", async ({ request }) => {
    const { verdict, best } = (await request.json()) as NewVote;
    return HttpResponse.json(makeVote({ verdict, best: best ?? null }));
  }),
  http.delete("*/v1/preferences/:id", ({ params }) =>
    HttpResponse.json({ id: params.id, object: "preference", deleted: true }),
  ),
];
