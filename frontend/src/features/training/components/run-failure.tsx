import { Button } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Run, RunFailure } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { ChangeList } from "@/features/training/components/change-list";
import { changesOf } from "@/features/training/components/changes";
import { useCloneRun, useResumeRun } from "@/features/training/mutations";
import { count, money } from "@/lib/format";
import { newKey } from "@/lib/new-key";
import classes from "./run-failure.module.css";

const TITLES: Record<string, string> = {
  user_error: "The run could not go on",
  platform_error: "Something of ours broke",
  out_of_memory: "It needed more memory than the machine has",
  non_finite_loss: "The learning went astray",
  interrupted: "The run was interrupted",
  budget: "The spending limit was reached",
  disk_full: "The disk of the machine was full",
  no_progress: "The run stood still",
  worker_lost: "The machines went away",
};

/** The API speaks to engineers too; the page says the same without their words. */
const PLAIN: Record<string, { label?: string; advice: string }> = {
  out_of_memory: {
    label: "Try again, with less at a time",
    advice: "Start it again in a smaller size, shorten the longest examples, or take a smaller base model.",
  },
  non_finite_loss: {
    label: "Try again, in smaller steps",
    advice: "Start it again so that it learns more slowly, or with the choice we suggest.",
  },
  disk_full: { advice: "Ask your admin to make room, then continue it." },
  no_progress: { advice: "Continue it; if it happens once more, tell your admin." },
  worker_lost: { advice: "Continue it; if it happens once more, tell your admin." },
};

/** What is known of a failure from before failures had classes. */
function plainFailure(run: Run): RunFailure {
  const isOurs = run.blame === null || run.blame === "platform_error";
  return {
    class: run.blame ?? "platform_error",
    code: run.error?.code ?? "unknown",
    message: run.error?.message ?? "It stopped before it was done.",
    advice: isOurs
      ? "Start it again with the same settings; if it happens twice, tell your admin."
      : "Mend the cause, then start again.",
    is_ours: isOurs,
    retries_left: null,
    fix: null,
  };
}

function whose(failure: RunFailure): string {
  if (failure.is_ours) return "Ours, not yours.";
  if (failure.class === "budget") return "Nobody's: a limit did what it is there for.";
  return failure.fix?.action === "edit_data" || failure.class === "user_error"
    ? "The cause is in the examples or in what was chosen."
    : "The cause is in the settings of this run.";
}

function kept(run: Run, failure: RunFailure): string {
  if (failure.fix?.action !== "continue") return "Your examples, the chart and the log.";
  const { progress } = run;
  return progress && progress.step > 0
    ? `What it learned up to step ${count(progress.step)} of ${count(progress.total_steps)}. It goes on from its last saved place.`
    : "Everything up to its last saved place. It goes on from there.";
}

/** What happened, whose fault, what it cost, what was kept, and the one button that does the fix. */
export function FailedRun({
  run,
  datasetId,
  canWrite,
}: {
  run: Run;
  datasetId: string | null;
  canWrite: boolean;
}) {
  const failure = run.failure ?? plainFailure(run);
  const changes = failure.fix?.action === "clone" ? changesOf(run, failure.fix.changes) : [];
  return (
    <Notice
      tone="bad"
      title={TITLES[failure.class] ?? "The run failed"}
      action={canWrite && <Fix run={run} failure={failure} datasetId={datasetId} />}
    >
      <dl className={classes.account}>
        <dt>What happened</dt>
        <dd>{failure.message}</dd>
        <dt>Whose fault</dt>
        <dd>{whose(failure)}</dd>
        <dt>What it cost</dt>
        <dd>
          {failure.is_ours || !run.cost_usd ? "Nothing." : `${money(run.cost_usd)}, for the work it did.`}
        </dd>
        <dt>What was kept</dt>
        <dd>{kept(run, failure)}</dd>
        <dt>What to do</dt>
        <dd>
          {PLAIN[failure.class]?.advice ?? failure.advice}
          {changes.length > 0 && <ChangeList changes={changes} />}
        </dd>
      </dl>
    </Notice>
  );
}

function Fix({ run, failure, datasetId }: { run: Run; failure: RunFailure; datasetId: string | null }) {
  const navigate = useNavigate();
  const resume = useResumeRun(run.id);
  const clone = useCloneRun();
  // One press, one run: a repeated one is told the same answer.
  const [idempotencyKey] = useState(() => newKey());
  const { fix } = failure;
  const label = PLAIN[failure.class]?.label ?? fix?.label ?? "Start it again";
  if (fix?.action === "edit_data") {
    return datasetId ? (
      <ButtonLink to="/data/$datasetId/rows" params={{ datasetId }} search={{ filter: "problems" }}>
        {label}
      </ButtonLink>
    ) : null;
  }
  if (fix?.action === "continue") {
    return (
      <Button loading={resume.isPending} onClick={() => resume.mutate(undefined, { onError: tellFailure })}>
        {label}
      </Button>
    );
  }
  if (fix && Object.keys(fix.changes).length === 0) {
    return (
      <ButtonLink to="/train/new" search={{ from: run.id }}>
        {label}
      </ButtonLink>
    );
  }
  const again = () =>
    clone.mutate(
      { id: run.id, idempotencyKey, changes: fix?.changes ?? {} },
      {
        onError: tellFailure,
        onSuccess: (next) => void navigate({ to: "/train/$runId", params: { runId: next.id } }),
      },
    );
  return (
    <Button loading={clone.isPending} onClick={again}>
      {label}
    </Button>
  );
}
