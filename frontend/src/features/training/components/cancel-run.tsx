import { Button } from "@mantine/core";
import { useState } from "react";
import type { Run } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tellFailure } from "@/components/ui/notices";
import { useCancelRun } from "@/features/training/queries";
import { money } from "@/lib/format";

export function CancelRun({ run }: { run: Run }) {
  const [isOpen, setOpen] = useState(false);
  const cancel = useCancelRun(run.id);
  const hasStarted = run.status === "running";
  return (
    <>
      <Button variant="default" disabled={run.cancel_requested} onClick={() => setOpen(true)}>
        {run.cancel_requested ? "Stopping…" : "Cancel"}
      </Button>
      <Confirm
        isOpen={isOpen}
        onClose={() => setOpen(false)}
        title="Cancel this run?"
        action="Cancel the run"
        keep="Let it go on"
        isBusy={cancel.isPending}
        onConfirm={() => cancel.mutate(undefined, { onSuccess: () => setOpen(false), onError: tellFailure })}
      >
        {hasStarted ? (
          <p>
            What it has learned so far is thrown away. You pay for the time it ran
            {run.cost_usd === null ? "" : `, ${money(run.cost_usd)} until now`}; the rest costs nothing.
          </p>
        ) : (
          <p>It has not begun to learn, so this costs nothing. Your examples stay.</p>
        )}
      </Confirm>
    </>
  );
}
