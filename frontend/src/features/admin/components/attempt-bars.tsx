import type { AdminJobDetails, Attempt } from "@/api/types";
import { isOver, outcomeWords } from "@/features/admin/components/wording";
import { duration, exactTime } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "./attempt-bars.module.css";

const TICKS = 4;
const MOVES_ON_MS = 1000;

function clock(unixSeconds: number, isLong: boolean): string {
  const at = new Date(unixSeconds * 1000);
  const time = at.toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(isLong ? {} : { second: "2-digit" }),
  });
  return isLong ? `${at.toLocaleDateString("en-US", { month: "short", day: "numeric" })}, ${time}` : time;
}

/** The leases of a job as bars on one axis of time; dashes where it waited. */
export function AttemptBars({ job }: { job: AdminJobDetails }) {
  const now = useNow(MOVES_ON_MS) / 1000;
  const attempts = [...job.attempts].sort((a, b) => a.attempt - b.attempt);
  if (attempts.length === 0) return <p>No worker has taken it yet.</p>;
  const ends = attempts.map((attempt) => attempt.ended_at ?? now);
  const from = Math.min(job.created_at, attempts[0]?.started_at ?? now);
  const to = Math.max(isOver(job) ? (job.finished_at ?? 0) : now, ...ends, from + 1);
  const share = (at: number) => ((at - from) / (to - from)) * 100;
  const isLong = to - from > 72_000;
  return (
    <div className={classes.picture}>
      <ol className={classes.attempts} aria-label="Tries, in order">
        {attempts.map((attempt, index) => {
          const waitedFrom = index === 0 ? from : (ends[index - 1] ?? from);
          const start = share(attempt.started_at);
          const end = share(attempt.ended_at ?? now);
          return (
            <li key={attempt.attempt}>
              <span className={classes.name}>
                Try {attempt.attempt}
                <code title={attempt.worker_id}>{attempt.worker_id}</code>
              </span>
              <div className={classes.track} title={titleOf(attempt)}>
                <span
                  className={classes.wait}
                  style={{
                    left: `${share(waitedFrom)}%`,
                    width: `${Math.max(0, start - share(waitedFrom))}%`,
                  }}
                />
                <span
                  className={classes.bar}
                  data-outcome={attempt.outcome ?? "running"}
                  style={{ left: `${start}%`, width: `${Math.max(0, end - start)}%` }}
                />
              </div>
              <span className={classes.words}>
                {duration(attempt.outcome === null ? now - attempt.started_at : attempt.seconds)} ·{" "}
                {outcomeWords(attempt)}
                {attempt.error && <small>{attempt.error.message as string}</small>}
              </span>
            </li>
          );
        })}
      </ol>
      <div className={classes.axis} aria-hidden="true">
        {Array.from({ length: TICKS + 1 }, (_, index) => (
          <span key={index}>{clock(from + ((to - from) * index) / TICKS, isLong)}</span>
        ))}
      </div>
    </div>
  );
}

function titleOf(attempt: Attempt): string {
  const end = attempt.ended_at === null ? "now" : exactTime(attempt.ended_at);
  return `${exactTime(attempt.started_at)} – ${end}`;
}
