import { Button } from "@mantine/core";
import { useState } from "react";
import type { AdminJobDetails } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { isOver } from "@/features/admin/components/wording";
import { useCancelJob, useKillJob, useRetryJob } from "@/features/admin/mutations";

/** What an admin can do to a job of anyone. Each says first what it does. */
export function JobActions({ job }: { job: AdminJobDetails }) {
  const [asked, setAsked] = useState<"kill" | "cancel" | null>(null);
  const kill = useKillJob(job.id);
  const retry = useRetryJob(job.id);
  const cancel = useCancelJob(job.id);
  const close = () => setAsked(null);
  const done = (message: string) => ({
    onError: tellFailure,
    onSuccess: () => {
      close();
      tell(message);
    },
  });
  return (
    <>
      {(job.state === "failed" || job.state === "paused") && (
        <Button
          loading={retry.isPending}
          onClick={() =>
            retry.mutate(undefined, done("It waits in line again and goes on from its last saved place."))
          }
        >
          {job.state === "failed" ? "Try again" : "Resume"}
        </Button>
      )}
      {job.state === "running" && (
        <Button variant="default" onClick={() => setAsked("kill")}>
          Take it from its worker
        </Button>
      )}
      {!isOver(job) && (
        <Button variant="default" disabled={job.cancel_requested} onClick={() => setAsked("cancel")}>
          {job.cancel_requested ? "Stopping…" : "Cancel the job"}
        </Button>
      )}
      <Confirm
        isOpen={asked === "kill"}
        onClose={close}
        title="Take this job from its worker?"
        action="Take it away"
        keep="Leave it"
        isBusy={kill.isPending}
        onConfirm={() => kill.mutate(undefined, done("Taken away. The next free worker goes on with it."))}
      >
        <p>
          The worker stops within seconds and can publish nothing more. The job waits in line again and goes
          on from its last saved place; what it did since then is done once more. Its owner pays nothing for
          that.
        </p>
      </Confirm>
      <Confirm
        isOpen={asked === "cancel"}
        onClose={close}
        title="Cancel this job for good?"
        action="Cancel it for good"
        keep="Leave it"
        isBusy={cancel.isPending}
        onConfirm={() => cancel.mutate(undefined, done("Cancelled."))}
      >
        <p>
          It belongs to {job.workspace.name}. What it has done is thrown away, and its owner pays for the time
          it worked. This cannot be taken back.
        </p>
      </Confirm>
    </>
  );
}
