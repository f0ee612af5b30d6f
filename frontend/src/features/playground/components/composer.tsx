import { Button, Textarea } from "@mantine/core";
import { useEffect, type KeyboardEvent, type RefObject } from "react";
import { useDraft } from "@/lib/use-draft";
import classes from "./composer.module.css";

interface ComposerProps {
  /** Whose question it is, in which workspace. */
  owner: string;
  onAsk: (question: string) => void;
  onStop: () => void;
  isAnswering: boolean;
  isDisabled: boolean;
  numAsked: number;
  input: RefObject<HTMLTextAreaElement | null>;
}

/** Enter asks, with Ctrl or without; Shift and Enter begins a new line; Escape stops. */
export function Composer({ owner, onAsk, onStop, isAnswering, isDisabled, numAsked, input }: ComposerProps) {
  // kept here and not by the page: with each key only this is drawn anew
  const { draft, change } = useDraft(`playground-question:${owner}`, () => ({ question: "" }));
  const { question } = draft;
  const ask = () => {
    if (question.trim() === "" || isAnswering || isDisabled) return;
    onAsk(question.trim());
    change({ question: "" });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    ask();
  };
  useEffect(() => {
    if (!isAnswering) return undefined;
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.key === "Escape" && !event.defaultPrevented) onStop();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [isAnswering, onStop]);
  return (
    <form
      className={classes.composer}
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      <Textarea
        ref={input}
        aria-label="Your question"
        placeholder={numAsked > 1 ? "Ask all the same question" : "Ask a question"}
        autosize
        minRows={1}
        maxRows={8}
        value={question}
        onChange={(event) => change({ question: event.currentTarget.value })}
        onKeyDown={onKeyDown}
        className={classes.input ?? ""}
      />
      {isAnswering ? (
        <Button variant="default" onClick={onStop}>
          Stop
        </Button>
      ) : (
        <Button type="submit" disabled={isDisabled || question.trim() === ""}>
          Ask
        </Button>
      )}
    </form>
  );
}
