import type { Run, RunEvent } from "@/api/types";
import { Section } from "@/components/ui/page";
import { TimeAgo } from "@/components/ui/time-ago";
import { count, plural } from "@/lib/format";
import classes from "./run-story.module.css";

const WENT_ON = /^Continuing after step (\d+)/;
const TURNS = /^(Paused|Continuing\.|Trying again|Cancelled)/;

interface Turn {
  id: string;
  at: number;
  text: string;
  isTrouble: boolean;
}

/** Of the log only what changed the course of the run, in plain words. */
function turnsOf(events: RunEvent[]): Turn[] {
  return events.flatMap((event) => {
    const turn = { id: event.id, at: event.created_at, isTrouble: event.level !== "info" };
    const step = WENT_ON.exec(event.message)?.[1];
    if (step) return [{ ...turn, text: `It went on after step ${count(Number(step))}. Nothing was lost.` }];
    return turn.isTrouble || TURNS.test(event.message) ? [{ ...turn, text: event.message }] : [];
  });
}

function summaryOf(run: Run): string | null {
  const times = run.attempt - 1;
  if (times <= 0) return null;
  return `It was taken up again ${times === 1 ? "once" : plural(times, "time")}. You pay for no step twice, and nothing for the time it stood still.`;
}

/** What came in between: machines that went away, pauses, and from where it went on. */
export function RunStory({ run, events }: { run: Run; events: RunEvent[] }) {
  const turns = turnsOf(events);
  if (turns.length === 0) return null;
  return (
    <Section title="What happened" lead={summaryOf(run)}>
      <ol className={classes.story}>
        {turns.map((turn) => (
          <li key={turn.id} data-trouble={turn.isTrouble || undefined}>
            <span>{turn.text}</span>
            <TimeAgo at={turn.at} />
          </li>
        ))}
      </ol>
    </Section>
  );
}
