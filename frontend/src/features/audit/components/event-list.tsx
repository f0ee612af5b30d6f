import { Button } from "@mantine/core";
import type { AuditEvent } from "@/api/types";
import { TimeAgo } from "@/components/ui/time-ago";
import { deed, detailName, detailValue } from "@/features/audit/components/wording";
import type { AuditSearch } from "@/features/audit/queries";
import { count, exactTime } from "@/lib/format";
import classes from "./audit.module.css";

interface EventListProps {
  events: AuditEvent[];
  onChoose: (part: AuditSearch) => void;
  /** Names of workspaces by id, where entries of several stand together. */
  workspaces?: ReadonlyMap<string, string> | undefined;
}

export function EventList({ events, onChoose, workspaces }: EventListProps) {
  return (
    <ol className={classes.log} aria-label="Entries">
      {events.map((event) => (
        <li key={event.id} className={classes.entry}>
          <details>
            <summary>
              <span className={classes.what}>
                {deed(event.action)}
                <Named event={event} />
              </span>
              <span className={classes.who}>
                {event.actor.name}
                {workspaces && <small>{placeOf(event, workspaces)}</small>}
              </span>
              <span className={classes.when}>
                <TimeAgo at={event.created_at} />
              </span>
            </summary>
            <div className={classes.inside}>
              <Particulars event={event} />
              <div className={classes.more}>
                <Button
                  size="compact-sm"
                  variant="default"
                  onClick={() => onChoose({ who: event.actor.api_key_id ?? event.actor.user_id })}
                >
                  {event.actor.api_key_id ? "All by this key" : `All by ${event.actor.name}`}
                </Button>
                <Button
                  size="compact-sm"
                  variant="default"
                  onClick={() => onChoose({ target: event.target_id })}
                >
                  All done to the same thing
                </Button>
              </div>
            </div>
          </details>
        </li>
      ))}
    </ol>
  );
}

/** What it was done to, by the name that people know it by. */
function Named({ event }: { event: AuditEvent }) {
  const name = event.details.name ?? event.details.filename ?? event.details.hostname;
  return typeof name === "string" && name !== "" ? <small>{name}</small> : null;
}

function placeOf(event: AuditEvent, workspaces: ReadonlyMap<string, string>): string {
  if (event.workspace_id === null) return "the installation";
  return workspaces.get(event.workspace_id) ?? event.workspace_id;
}

function Particulars({ event }: { event: AuditEvent }) {
  const rows: [string, string | null][] = [
    ["when", exactTime(event.created_at)],
    ["done to", event.target_id],
    ...Object.entries(event.details).map(([name, value]): [string, string] => [
      detailName(name),
      detailValue(value),
    ]),
    ["by", event.actor.api_key_id ? `key ${event.actor.api_key_id}` : event.actor.user_id],
    ["address", event.client_address],
    ["program", event.user_agent],
    ["request", event.request_id],
    ["entry", count(event.sequence)],
    ["seal", event.hash],
  ];
  return (
    <dl className={classes.particulars}>
      {rows
        .filter(([, value]) => value !== null)
        .map(([name, value], index) => (
          <div key={index}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
