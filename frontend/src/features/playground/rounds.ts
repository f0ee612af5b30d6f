import type { ChatRequest, ServedBy } from "@/api/chat";
import type { NewVote, Verdict } from "@/api/types";

export const MAX_CONTESTANTS = 4;
export const LETTERS = ["A", "B", "C", "D"] as const;
/** Low, so that models differ by what they learned and not by chance. */
const TEMPERATURE = 0.3;
/** A small model that finds no end would else go on for minutes. */
const MAX_TOKENS = 1024;

export interface Sampling {
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
  seed: number | null;
  /** One on a line. */
  stop: string;
}

export interface Settings extends Sampling {
  system: string;
}

export const NO_SETTINGS: Settings = {
  system: "",
  temperature: null,
  topP: null,
  maxTokens: null,
  seed: null,
  stop: "",
};

export interface ProfileChoice {
  alias: string;
  version: number;
  temperature: number | null;
  topP: number | null;
  maxTokens: number | null;
}

/** Who takes part: a model, perhaps with a prompt of its own. */
export interface Contestant {
  model: string;
  isAlias: boolean;
  prompt: string;
  profile: ProfileChoice | null;
}

export interface Answer {
  content: string;
  state: "waiting" | "done" | "stopped" | "failed";
  error?: string;
  servedBy: ServedBy | null;
  seconds: number | null;
}

export interface Vote {
  verdict: Verdict;
  /** The place among the contestants, not on the screen. */
  best: number | null;
}

/** One question and what all answered to it. */
export interface Round {
  id: string;
  /** Rounds with the same number are one conversation. */
  conversation: number;
  question: string;
  settings: Settings;
  contestants: Contestant[];
  /** Their places in the order in which they are shown. */
  order: number[];
  isBlind: boolean;
  isKept: boolean;
  answers: Answer[];
  vote: Vote | null;
}

type Said = NewVote["messages"];

export function isAnswering(round: Round): boolean {
  return round.answers.some((answer) => answer.state === "waiting");
}

/** Those that ended by themselves: only they can be judged. */
export function judged(round: Round): number[] {
  return round.order.filter((place) => {
    const answer = round.answers[place];
    return answer?.state === "done" && answer.content.trim() !== "";
  });
}

export function canBeVotedOn(round: Round): boolean {
  return round.vote === null && !isAnswering(round) && judged(round).length > 1;
}

export function isHidden(round: Round): boolean {
  return round.isBlind && round.vote === null;
}

/** What a contestant is asked with. After a vote all go on from the answer that was the best. */
export function requestOf(round: Round, place: number, rounds: Round[]): ChatRequest {
  const contestant = round.contestants[place];
  if (!contestant) throw new Error(`the round has no contestant ${place}`);
  const system = contestant.prompt || round.settings.system;
  return {
    model: contestant.model,
    messages: [
      ...(system ? [{ role: "system" as const, content: system }] : []),
      ...saidBefore(round, place, rounds),
      { role: "user", content: round.question },
    ],
    ...sampling(round.settings, contestant),
    ...(round.isKept ? { store: true } : {}),
  };
}

function saidBefore(round: Round, place: number, rounds: Round[]): Said {
  const end = rounds.findIndex((one) => one.id === round.id);
  const earlier = (end < 0 ? rounds : rounds.slice(0, end)).filter(
    (one) => one.conversation === round.conversation,
  );
  return earlier.flatMap((one) => {
    const answer = one.answers[one.vote?.best ?? place];
    if (answer?.state !== "done" || answer.content === "") return [];
    return [
      { role: "user" as const, content: one.question },
      { role: "assistant" as const, content: answer.content },
    ];
  });
}

/** What is not set here is what the prompt says; a stable name's own prompt says it on the other side. */
function sampling(settings: Settings, { isAlias, profile }: Contestant) {
  const stops = settings.stop.split("\n").filter((one) => one !== "");
  const temperature = settings.temperature ?? profile?.temperature ?? (isAlias ? null : TEMPERATURE);
  const maxTokens = settings.maxTokens ?? profile?.maxTokens ?? (isAlias ? null : MAX_TOKENS);
  const topP = settings.topP ?? profile?.topP ?? null;
  return {
    ...(temperature === null ? {} : { temperature }),
    ...(topP === null ? {} : { top_p: topP }),
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
    ...(settings.seed === null ? {} : { seed: settings.seed }),
    ...(stops.length === 0 ? {} : { stop: stops }),
  };
}

/** The order stays until it was told, so that A stays A; then it is drawn anew. */
export function orderOf(
  numContestants: number,
  isBlind: boolean,
  last: Round | undefined,
  random: () => number = Math.random,
): number[] {
  const places = Array.from({ length: numContestants }, (_, place) => place);
  if (!isBlind) return places;
  if (last && isHidden(last) && last.order.length === numContestants) return last.order;
  for (let at = places.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [places[at], places[other]] = [places[other] ?? 0, places[at] ?? 0];
  }
  return places;
}

/** The vote as it is stored, in the order that was seen. What broke off is no part of it. */
export function voteBody(round: Round, rounds: Round[], { verdict, best }: Vote): NewVote {
  const places = judged(round);
  const hasPrompts = places.some((place) => round.contestants[place]?.prompt);
  const asked = places.map((place) => {
    const { messages } = requestOf(round, place, rounds);
    // where one has a prompt of its own, what the others were told first is theirs as well
    return hasPrompts ? messages.filter((message) => message.role !== "system") : messages;
  });
  const [common = []] = asked;
  const { temperature, topP, maxTokens, seed } = round.settings;
  const stop = round.settings.stop.split("\n").filter((one) => one !== "");
  return {
    messages: common,
    answers: places.map((place, at) => {
      const [contestant, answer] = [round.contestants[place], round.answers[place]];
      const ownPrompt = contestant?.prompt ?? "";
      const prompt = hasPrompts ? (ownPrompt === "" ? round.settings.system : ownPrompt) : "";
      const own = asked[at] ?? common;
      return {
        model: contestant?.model ?? "",
        content: answer?.content ?? "",
        served_by: answer?.servedBy ?? null,
        system_prompt: prompt === "" ? null : prompt,
        prompt_profile: contestant?.profile
          ? { alias: contestant.profile.alias, version: contestant.profile.version }
          : null,
        messages: JSON.stringify(own) === JSON.stringify(common) ? null : own,
      };
    }),
    verdict,
    best: best === null ? null : places.indexOf(best),
    is_blind: round.isBlind,
    parameters: {
      temperature,
      top_p: topP,
      max_tokens: maxTokens,
      seed,
      stop: stop.length === 0 ? null : stop,
    },
  };
}
