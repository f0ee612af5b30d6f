import { useCallback, useEffect, useRef, useState } from "react";
import { streamChat } from "@/api/chat";
import { messageOf } from "@/api/errors";
import type { Message } from "@/api/types";

/** Low, so that two models differ by what they learned and not by chance. */
const TEMPERATURE = 0.3;
/** A small model that finds no end would else go on for minutes. */
const MAX_TOKENS = 1024;

export interface Turn extends Message {
  error?: string;
  wasStopped?: boolean;
}

export interface Chat {
  turns: Turn[];
  isAnswering: boolean;
  ask: (question: string) => void;
  stop: () => void;
  clear: () => void;
}

/** A conversation with one model. Each question carries what was said before; a broken answer is not part of it. */
export function useChat(model: string, { isKept }: { isKept: boolean }): Chat {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [isAnswering, setAnswering] = useState(false);
  const stopper = useRef<AbortController | null>(null);

  const clear = useCallback(() => {
    stopper.current?.abort();
    stopper.current = null;
    setAnswering(false);
    setTurns([]);
  }, []);

  // Another model starts with a clean page: what was said belongs to the one that said it.
  const [spokenTo, setSpokenTo] = useState(model);
  if (spokenTo !== model) {
    setSpokenTo(model);
    setTurns([]);
    setAnswering(false);
  }
  useEffect(
    () => () => {
      stopper.current?.abort();
      stopper.current = null;
    },
    [model],
  );

  const answer = async (question: string) => {
    const controller = new AbortController();
    stopper.current = controller;
    const before = turns.filter((turn) => !turn.error && turn.content !== "");
    const messages: Message[] = [...before, { role: "user" as const, content: question }].map(
      ({ role, content }) => ({
        role,
        content,
      }),
    );
    setTurns([...turns, { role: "user", content: question }, { role: "assistant", content: "" }]);
    setAnswering(true);
    const amend = (change: (last: Turn) => Turn) => {
      if (stopper.current === controller)
        setTurns((now) => now.map((turn, i) => (i === now.length - 1 ? change(turn) : turn)));
    };
    try {
      for await (const piece of streamChat(
        { model, messages, temperature: TEMPERATURE, max_tokens: MAX_TOKENS, store: isKept },
        controller.signal,
      )) {
        amend((last) => ({ ...last, content: (last.content ?? "") + piece }));
      }
    } catch (error) {
      if (controller.signal.aborted) amend((last) => ({ ...last, wasStopped: true }));
      else amend((last) => ({ ...last, error: messageOf(error) }));
    } finally {
      if (stopper.current === controller) setAnswering(false);
    }
  };
  return {
    turns,
    isAnswering,
    ask: (question) => void answer(question),
    stop: () => stopper.current?.abort(),
    clear,
  };
}
