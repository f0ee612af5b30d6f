import type { RunEvent } from "@/api/types";
import { exactTime } from "@/lib/format";
import classes from "./run-log.module.css";

export function RunLog({ events }: { events: RunEvent[] }) {
  return (
    <details className={classes.log}>
      <summary>Log, for engineers</summary>
      {events.length === 0 ? (
        <p>Nothing has been written yet.</p>
      ) : (
        <ol>
          {events.map((event) => (
            <li key={event.id} data-level={event.level}>
              <time
                dateTime={new Date(event.created_at * 1000).toISOString()}
                title={exactTime(event.created_at)}
              >
                {new Date(event.created_at * 1000).toLocaleTimeString("en-GB")}
              </time>
              <span>{event.message}</span>
            </li>
          ))}
        </ol>
      )}
    </details>
  );
}
