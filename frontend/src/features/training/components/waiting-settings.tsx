import { Button } from "@mantine/core";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import type { Run } from "@/api/types";
import { tell } from "@/components/ui/notices";
import { ScheduleFields, type Schedule } from "@/features/training/components/schedule-fields";
import { useChangeRun } from "@/features/training/mutations";
import classes from "./waiting-settings.module.css";

function scheduleOf(run: Run): Schedule {
  return { startAfter: run.start_after, maxCostUsd: run.max_cost_usd, priority: run.priority };
}

/** For a run that has not begun: when, how much and in which order, folded away. */
export function WaitingSettings({ run }: { run: Run }) {
  const change = useChangeRun(run.id);
  const [edited, setEdited] = useState<Partial<Schedule>>({});
  const schedule = { ...scheduleOf(run), ...edited };
  const save = () =>
    change.mutate(
      {
        ...("startAfter" in edited ? { start_after: schedule.startAfter } : {}),
        ...("maxCostUsd" in edited ? { max_cost_usd: schedule.maxCostUsd } : {}),
        ...("priority" in edited ? { priority: schedule.priority } : {}),
      },
      {
        onSuccess: () => {
          setEdited({});
          tell("Changed.");
        },
      },
    );
  return (
    <details className={classes.settings}>
      <summary>Advanced</summary>
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <ScheduleFields
          schedule={schedule}
          onChange={(part) => setEdited((before) => ({ ...before, ...part }))}
        />
        {change.error && <p role="alert">{messageOf(change.error)}</p>}
        <Button
          type="submit"
          variant="default"
          disabled={Object.keys(edited).length === 0}
          loading={change.isPending}
        >
          Save
        </Button>
      </form>
    </details>
  );
}
