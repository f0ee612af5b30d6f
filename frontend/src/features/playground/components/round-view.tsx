import { Button } from "@mantine/core";
import type { Model } from "@/api/types";
import { contestantName } from "@/features/playground/components/contestant-name";
import { RequestCode } from "@/features/playground/components/request-code";
import { VoteBar } from "@/features/playground/components/vote-bar";
import {
  type Answer,
  canBeVotedOn,
  isHidden,
  LETTERS,
  requestOf,
  type Round,
  type Vote,
} from "@/features/playground/rounds";
import classes from "./round-view.module.css";

interface RoundViewProps {
  round: Round;
  rounds: Round[];
  models: Model[];
  isVoting: boolean;
  onVote: (vote: Vote) => void;
  onAskAgain: (place: number) => void;
}

/** A question, and what all answered to it, side by side. */
export function RoundView({ round, rounds, models, isVoting, onVote, onAskAgain }: RoundViewProps) {
  const hidden = isHidden(round);
  const letters = round.isBlind && round.contestants.length > 1;
  return (
    <li className={classes.round}>
      <p className={classes.question}>
        <span className="visually-hidden">You: </span>
        {round.question}
      </p>
      <div className={classes.answers} data-count={round.contestants.length}>
        {round.order.map((place, shown) => {
          const contestant = round.contestants[place];
          const answer = round.answers[place];
          if (!contestant || !answer) return null;
          const letter = letters ? (LETTERS[shown] ?? "") : "";
          const name = hidden ? "" : contestantName(contestant, answer, models);
          const title = [letter, name].filter((part) => part !== "").join(" · ");
          return (
            <section
              key={place}
              className={classes.answer}
              aria-label={hidden ? `Answer ${letter}` : `Answer of ${title}`}
              data-best={round.vote?.best === place || undefined}
            >
              <header>
                <h3>{hidden ? `Answer ${letter}` : title}</h3>
                {round.vote?.best === place && <span className={classes.best}>Best</span>}
              </header>
              <Said answer={answer} onAskAgain={() => onAskAgain(place)} canAskAgain={round.vote === null} />
              {!hidden && answer.state !== "waiting" && (
                <footer>
                  {answer.seconds !== null && <span>{answer.seconds.toFixed(1)} s</span>}
                  <RequestCode of={title} request={requestOf(round, place, rounds)} />
                </footer>
              )}
            </section>
          );
        })}
      </div>
      {canBeVotedOn(round) && <VoteBar round={round} isVoting={isVoting} onVote={onVote} models={models} />}
      {round.vote && (
        <p className={classes.verdict} role="status">
          {verdictOf(round, models)}
        </p>
      )}
    </li>
  );
}

function Said({
  answer,
  onAskAgain,
  canAskAgain,
}: {
  answer: Answer;
  onAskAgain: () => void;
  canAskAgain: boolean;
}) {
  const isWaiting = answer.state === "waiting";
  return (
    <div className={classes.said} aria-live="polite" aria-busy={isWaiting}>
      {answer.content}
      {isWaiting && <span className={classes.caret} aria-hidden="true" />}
      {answer.state === "done" && answer.content === "" && <em>It said nothing.</em>}
      {answer.state === "stopped" && <small>You stopped it here.</small>}
      {answer.state === "failed" && <small className={classes.error}>{answer.error}</small>}
      {(answer.state === "stopped" || answer.state === "failed") && canAskAgain && (
        <Button size="compact-xs" variant="default" onClick={onAskAgain}>
          Ask again
        </Button>
      )}
    </div>
  );
}

function verdictOf(round: Round, models: Model[]): string {
  const { vote } = round;
  if (vote?.verdict === "all_equal") return "You found them equally good.";
  if (vote?.verdict === "all_bad") return "You found none of them good.";
  const place = vote?.best ?? 0;
  const contestant = round.contestants[place];
  const name = contestant ? contestantName(contestant, round.answers[place], models) : "";
  return `You preferred ${name}. The conversation goes on from that answer.`;
}
