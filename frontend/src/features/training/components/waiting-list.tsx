import { ActionIcon } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useRef } from "react";
import type { Run } from "@/api/types";
import { Icon } from "@/components/ui/icons";
import { tellFailure } from "@/components/ui/notices";
import { runName, turnOf } from "@/features/training/components/wording";
import { useMoveRun, type Place } from "@/features/training/mutations";
import { useNow } from "@/lib/use-now";
import classes from "./waiting-list.module.css";

/** Waiting runs in the order of their turns. Two buttons change the order; the pressed one keeps the focus. */
export function WaitingList({ runs, canMove }: { runs: Run[]; canMove: boolean }) {
  const now = useNow();
  const move = useMoveRun();
  const announced = useRef<HTMLParagraphElement>(null);
  const shift = (run: Run, index: number, by: -1 | 1) => {
    const after = runs[index + 2];
    const before = runs[index - 1];
    const place: Place =
      by < 0
        ? before && index > 1
          ? { before: before.id }
          : { to: "front" }
        : after
          ? { before: after.id }
          : { to: "back" };
    move.mutate({ id: run.id, place }, { onError: tellFailure });
    if (announced.current)
      announced.current.textContent = `${runName(run)} is now ${index + by + 1} of ${runs.length}.`;
  };
  return (
    <>
      <ol className={classes.list} aria-label="Waiting runs">
        {runs.map((run, index) => (
          <li key={run.id}>
            <div className={classes.what}>
              <Link to="/train/$runId" params={{ runId: run.id }}>
                {runName(run)}
              </Link>
              <span>{turnOf(run, now)}</span>
            </div>
            {canMove && run.actions.includes("move") && runs.length > 1 && (
              <span className={classes.moves}>
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  aria-label={`Move ${runName(run)} up`}
                  aria-disabled={index === 0}
                  onClick={() => index > 0 && shift(run, index, -1)}
                >
                  <Icon name="up" />
                </ActionIcon>
                <ActionIcon
                  variant="subtle"
                  color="gray"
                  aria-label={`Move ${runName(run)} down`}
                  aria-disabled={index === runs.length - 1}
                  onClick={() => index < runs.length - 1 && shift(run, index, 1)}
                >
                  <Icon name="down" />
                </ActionIcon>
              </span>
            )}
          </li>
        ))}
      </ol>
      <p ref={announced} className="visually-hidden" aria-live="polite" />
    </>
  );
}
