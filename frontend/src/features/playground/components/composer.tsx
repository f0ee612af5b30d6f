import { Button, Textarea } from "@mantine/core";
import { useState, type KeyboardEvent } from "react";
import classes from "./composer.module.css";

interface ComposerProps {
  onAsk: (question: string) => void;
  onStop: () => void;
  isAnswering: boolean;
  isDisabled: boolean;
}

/** Enter asks, Shift and Enter begins a new line. */
export function Composer({ onAsk, onStop, isAnswering, isDisabled }: ComposerProps) {
  const [question, setQuestion] = useState("");
  const ask = () => {
    if (question.trim() === "" || isAnswering || isDisabled) return;
    onAsk(question.trim());
    setQuestion("");
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    ask();
  };
  return (
    <form
      className={classes.composer}
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      <Textarea
        aria-label="Your question"
        placeholder="Ask both the same question"
        value={question}
        onChange={(event) => setQuestion(event.currentTarget.value)}
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
