import { useEffect, useRef, useState } from "react";
import { streamChat } from "@/api/chat";
import { messageOf } from "@/api/errors";
import {
  type Answer,
  type Contestant,
  isAnswering,
  orderOf,
  requestOf,
  type Round,
  type Settings,
  type Vote,
} from "@/features/playground/rounds";
import { newKey } from "@/lib/new-key";

export interface Asked {
  question: string;
  contestants: Contestant[];
  settings: Settings;
  isBlind: boolean;
  isKept: boolean;
}

const EMPTY: Answer = { content: "", state: "waiting", servedBy: null, seconds: null };

/** Rounds of questions, each answered by all at once. They survive a refresh; what one waits for then ends where it is. */
export function useRounds(owner: string) {
  const storageKey = `tailorbird:playground:${owner}`;
  const [rounds, setRounds] = useState<Round[]>(() => read(storageKey));
  const stoppers = useRef(new Map<string, AbortController>());
  const isBusy = rounds.some(isAnswering);

  const latest = useRef(rounds);
  useEffect(() => {
    latest.current = rounds;
    if (!isBusy) write(storageKey, rounds);
  }, [storageKey, rounds, isBusy]);
  useEffect(() => {
    // not with every word that comes: when the page is left
    const keep = () => write(storageKey, latest.current.map(stopped));
    window.addEventListener("pagehide", keep);
    return () => {
      window.removeEventListener("pagehide", keep);
      keep();
    };
  }, [storageKey]);
  useEffect(() => {
    const running = stoppers.current;
    return () => running.forEach((stopper) => stopper.abort());
  }, []);

  const amend = (id: string, place: number, change: (answer: Answer) => Answer) =>
    setRounds((now) =>
      now.map((round) =>
        round.id === id
          ? { ...round, answers: round.answers.with(place, change(round.answers[place] ?? EMPTY)) }
          : round,
      ),
    );

  const answer = async (round: Round, place: number, earlier: Round[]) => {
    const stopper = new AbortController();
    const key = `${round.id}/${place}`;
    stoppers.current.set(key, stopper);
    const beganMs = performance.now();
    const end = (state: Answer["state"], error?: string) =>
      amend(round.id, place, (now) => ({
        ...now,
        state,
        seconds: (performance.now() - beganMs) / 1000,
        ...(error ? { error } : {}),
      }));
    try {
      for await (const piece of streamChat(requestOf(round, place, earlier), stopper.signal)) {
        if (stopper.signal.aborted) return;
        amend(round.id, place, (now) => ({
          ...now,
          content: now.content + piece.text,
          servedBy: piece.servedBy ?? now.servedBy,
        }));
      }
      if (!stopper.signal.aborted) end("done");
    } catch (error) {
      if (!stopper.signal.aborted) end("failed", messageOf(error));
    } finally {
      stoppers.current.delete(key);
    }
  };

  const ask = ({ contestants, ...asked }: Asked) => {
    const last = rounds.at(-1);
    const goesOn = last && JSON.stringify(last.contestants) === JSON.stringify(contestants);
    const round: Round = {
      ...asked,
      contestants,
      id: newKey(),
      conversation: last ? last.conversation + (goesOn ? 0 : 1) : 0,
      order: orderOf(contestants.length, asked.isBlind, goesOn ? last : undefined),
      answers: contestants.map(() => EMPTY),
      vote: null,
    };
    setRounds([...rounds, round]);
    contestants.forEach((_, place) => void answer(round, place, rounds));
  };

  return {
    rounds,
    isBusy,
    ask,
    askAgain: (round: Round, place: number) => {
      amend(round.id, place, () => EMPTY);
      void answer(round, place, rounds);
    },
    /** At once, whatever the connection still has to say. */
    stop: () => {
      stoppers.current.forEach((stopper) => stopper.abort());
      setRounds((now) => now.map(stopped));
    },
    keepVote: (id: string, vote: Vote) =>
      setRounds((now) => now.map((round) => (round.id === id ? { ...round, vote } : round))),
    clear: () => {
      stoppers.current.forEach((stopper) => stopper.abort());
      setRounds([]);
    },
  };
}

function stopped(round: Round): Round {
  return {
    ...round,
    answers: round.answers.map((answer) =>
      answer.state === "waiting" ? { ...answer, state: "stopped" } : answer,
    ),
  };
}

function read(key: string): Round[] {
  try {
    return JSON.parse(window.sessionStorage.getItem(key) ?? "[]") as Round[];
  } catch {
    return [];
  }
}

function write(key: string, rounds: Round[]): void {
  try {
    window.sessionStorage.setItem(key, JSON.stringify(rounds));
  } catch {
    // A full or forbidden storage costs the conversation after a refresh, never the page.
  }
}
