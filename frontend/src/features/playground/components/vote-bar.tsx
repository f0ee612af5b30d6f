import { Button } from "@mantine/core";
import { useEffect, useRef } from "react";
import type { Model } from "@/api/types";
import { contestantName } from "@/features/playground/components/contestant-name";
import { isHidden, judged, LETTERS, type Round, type Vote } from "@/features/playground/rounds";
import classes from "./vote-bar.module.css";

interface VoteBarProps {
  round: Round;
  models: Model[];
  isVoting: boolean;
  onVote: (vote: Vote) => void;
}

/** Which is best: by a click, or by the keys 1 to 4, E and N wherever nothing is typed. */
export function VoteBar({ round, models, isVoting, onVote }: VoteBarProps) {
  const group = useRef<HTMLFieldSetElement>(null);
  const places = judged(round);
  useEffect(() => {
    // Whoever waited at the keyboard, with nothing typed yet, goes on to the vote.
    const at = document.activeElement;
    if (isHidden(round) && at instanceof HTMLTextAreaElement && at.value === "") group.current?.focus();
  }, [round]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const vote = isTyped(event) || isVoting ? null : voteOf(event.key.toLowerCase(), round);
      if (!vote) return;
      event.preventDefault();
      onVote(vote);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [round, isVoting, onVote]);
  return (
    <fieldset ref={group} className={classes.bar} tabIndex={-1} disabled={isVoting}>
      <legend>Which answer is best?</legend>
      {round.order.map((place, shown) => {
        const contestant = round.contestants[place];
        if (!contestant || !places.includes(place)) return null;
        const name = isHidden(round)
          ? (LETTERS[shown] ?? "")
          : contestantName(contestant, round.answers[place], models);
        return (
          <Button
            key={place}
            size="sm"
            variant="default"
            onClick={() => onVote({ verdict: "best", best: place })}
          >
            {name}
            <Key name={String(shown + 1)} />
          </Button>
        );
      })}
      <Button size="sm" variant="subtle" onClick={() => onVote({ verdict: "all_equal", best: null })}>
        {places.length === 2 ? "Both equal" : "All equal"}
        <Key name="E" />
      </Button>
      <Button size="sm" variant="subtle" onClick={() => onVote({ verdict: "all_bad", best: null })}>
        {places.length === 2 ? "Both bad" : "All bad"}
        <Key name="N" />
      </Button>
    </fieldset>
  );
}

function Key({ name }: { name: string }) {
  return (
    <kbd className={classes.key} aria-hidden="true">
      {name}
    </kbd>
  );
}

function voteOf(key: string, round: Round): Vote | null {
  if (key === "e") return { verdict: "all_equal", best: null };
  // N as in none: B is the name of an answer
  if (key === "n") return { verdict: "all_bad", best: null };
  const best = /^[1-4]$/.test(key) ? round.order[Number(key) - 1] : undefined;
  return best !== undefined && judged(round).includes(best) ? { verdict: "best", best } : null;
}

/** Whether a key is a part of what somebody writes, or of a shortcut of the browser. */
function isTyped(event: KeyboardEvent): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return true;
  const { target } = event;
  return (
    target instanceof HTMLElement &&
    target.closest("input, textarea, select, [contenteditable], [role='dialog']") !== null
  );
}
