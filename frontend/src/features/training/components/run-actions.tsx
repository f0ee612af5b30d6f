import { Button, Menu } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Run } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import {
  useCancelRun,
  useMoveRun,
  usePauseRun,
  useResumeRun,
  type Place,
} from "@/features/training/mutations";
import { isFinished } from "@/features/training/queries";
import { money } from "@/lib/format";

/** What can be done with a run now; the server names it, the words are ours. */
export function RunActions({ run }: { run: Run }) {
  const can = (action: Run["actions"][number]) => run.actions.includes(action);
  if (isFinished(run)) return can("clone") ? <CloneLink run={run} /> : null;
  return (
    <>
      {can("resume") && !isOverBudget(run) && <ResumeRun run={run} />}
      {(can("pause") || run.pause_requested) && <PauseRun run={run} />}
      {(can("cancel") || run.cancel_requested) && <CancelRun run={run} />}
      {(can("clone") || can("move")) && <MoreActions run={run} />}
    </>
  );
}

export function isOverBudget(run: Run): boolean {
  return run.status === "paused" && (run.failure?.class === "budget" || run.blame === "budget");
}

function CloneLink({ run }: { run: Run }) {
  return (
    <ButtonLink variant="default" to="/train/new" search={{ from: run.id }}>
      Run again with a change
    </ButtonLink>
  );
}

export function ResumeRun({ run }: { run: Run }) {
  const resume = useResumeRun(run.id);
  return (
    <Button
      loading={resume.isPending}
      onClick={() =>
        resume.mutate(undefined, {
          onError: tellFailure,
          onSuccess: () => tell("It goes on from where it stopped as soon as a machine is free."),
        })
      }
    >
      Resume
    </Button>
  );
}

function PauseRun({ run }: { run: Run }) {
  const [isOpen, setOpen] = useState(false);
  const pause = usePauseRun(run.id);
  const isAsked = run.pause_requested && run.status === "running";
  return (
    <>
      <Button variant="default" disabled={isAsked || run.cancel_requested} onClick={() => setOpen(true)}>
        {isAsked ? "Pausing…" : "Pause"}
      </Button>
      <Confirm
        isOpen={isOpen}
        onClose={() => setOpen(false)}
        title="Pause this run?"
        action="Pause the run"
        keep="Let it go on"
        isHarmless
        isBusy={pause.isPending}
        onConfirm={() => pause.mutate(undefined, { onSuccess: () => setOpen(false), onError: tellFailure })}
      >
        {run.status === "running" ? (
          <p>
            It saves its place and stops. You pay only for what it has done
            {run.cost_usd ? `, ${money(run.cost_usd)} until now` : ""}. Resume it whenever you like.
          </p>
        ) : (
          <p>It waits until you resume it. This costs nothing, and your examples stay.</p>
        )}
      </Confirm>
    </>
  );
}

function CancelRun({ run }: { run: Run }) {
  const [isOpen, setOpen] = useState(false);
  const cancel = useCancelRun(run.id);
  const hasWorked = run.status === "running" || (run.cost_usd ?? 0) > 0;
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
        keep="Keep it"
        isBusy={cancel.isPending}
        onConfirm={() => cancel.mutate(undefined, { onSuccess: () => setOpen(false), onError: tellFailure })}
      >
        {hasWorked ? (
          <p>
            What it has learned so far is thrown away. You pay for the time it worked
            {run.cost_usd === null ? "" : `, ${money(run.cost_usd)} until now`}; the rest costs nothing. To
            keep its place, pause it instead.
          </p>
        ) : (
          <p>It has not begun to learn, so this costs nothing. Your examples stay.</p>
        )}
      </Confirm>
    </>
  );
}

function MoreActions({ run }: { run: Run }) {
  const navigate = useNavigate();
  const move = useMoveRun();
  const moveTo = (place: Place, message: string) =>
    move.mutate({ id: run.id, place }, { onError: tellFailure, onSuccess: () => tell(message) });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default">More</Button>
      </Menu.Target>
      <Menu.Dropdown>
        {run.actions.includes("move") && (
          <>
            <Menu.Item onClick={() => moveTo({ to: "front" }, "It is now the first of your waiting runs.")}>
              Move to the front of my line
            </Menu.Item>
            <Menu.Item onClick={() => moveTo({ to: "back" }, "It is now the last of your waiting runs.")}>
              Move to the back of my line
            </Menu.Item>
          </>
        )}
        {run.actions.includes("clone") && (
          <Menu.Item onClick={() => void navigate({ to: "/train/new", search: { from: run.id } })}>
            Run again with a change
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
