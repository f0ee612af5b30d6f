import type { AdminQueue } from "@/api/types";
import { Status } from "@/components/ui/status";
import { QUEUES, queueWords } from "@/features/admin/components/wording";
import { count, duration } from "@/lib/format";
import classes from "./queue-bars.module.css";

const PARTS = [
  { kind: "running", label: "running" },
  { kind: "waiting", label: "waiting" },
  { kind: "scheduled", label: "for later" },
] as const;

function amounts(queue: AdminQueue) {
  return { running: queue.num_running, waiting: queue.num_waiting, scheduled: queue.num_scheduled };
}

/** One bar a queue, all on one scale: what runs, what waits and what is meant for later. */
export function QueueBars({ queues }: { queues: AdminQueue[] }) {
  const longest = Math.max(
    1,
    ...queues.map((queue) => queue.num_running + queue.num_waiting + queue.num_scheduled),
  );
  return (
    <>
      <ul className={classes.queues}>
        {queues.map((queue) => (
          <QueueRow key={queue.name} queue={queue} longest={longest} />
        ))}
      </ul>
      <p className={classes.legend} aria-hidden="true">
        {PARTS.map((part) => (
          <span key={part.kind}>
            <i data-kind={part.kind} /> {part.label}
          </span>
        ))}
      </p>
    </>
  );
}

function QueueRow({ queue, longest }: { queue: AdminQueue; longest: number }) {
  const found = amounts(queue);
  const words = queueWords(queue);
  const said = PARTS.map((part) => `${count(found[part.kind])} ${part.label}`).join(", ");
  return (
    <li className={classes.queue}>
      <div className={classes.head}>
        <h3>
          {QUEUES[queue.name]} <small>{queue.name}</small>
        </h3>
        <Status tone={words.tone}>{words.label}</Status>
      </div>
      <div className={classes.bar} role="img" aria-label={`${QUEUES[queue.name]}: ${said}`}>
        {PARTS.map(
          (part) =>
            found[part.kind] > 0 && (
              <span
                key={part.kind}
                data-kind={part.kind}
                style={{ width: `${(found[part.kind] / longest) * 100}%` }}
              >
                {count(found[part.kind])}
              </span>
            ),
        )}
      </div>
      <dl className={classes.facts}>
        <div>
          <dt>Workers</dt>
          <dd>
            {queue.num_busy_workers} of {queue.num_workers} busy
          </dd>
        </div>
        <div>
          <dt>Oldest wait</dt>
          <dd>{queue.oldest_wait_s === null ? "—" : duration(queue.oldest_wait_s)}</dd>
        </div>
        <div>
          <dt>Usual wait</dt>
          <dd>{queue.median_wait_s === null ? "—" : duration(queue.median_wait_s)}</dd>
        </div>
        <div>
          <dt>In the last hour</dt>
          <dd>
            {count(queue.finished_last_hour)} done
            {queue.failed_last_hour > 0 && `, ${count(queue.failed_last_hour)} failed`}
          </dd>
        </div>
      </dl>
    </li>
  );
}
