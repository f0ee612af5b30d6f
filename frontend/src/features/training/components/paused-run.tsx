import { Button, NumberInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import type { Run } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { isOverBudget, ResumeRun } from "@/features/training/components/run-actions";
import { useChangeRun, useResumeRun } from "@/features/training/mutations";
import { money } from "@/lib/format";
import classes from "./paused-run.module.css";

/** A paused run: calm, with what it cost; one that reached a limit says which, and offers to raise it. */
export function PausedRun({ run, canWrite }: { run: Run; canWrite: boolean }) {
  if (!isOverBudget(run)) {
    const paid = run.cost_usd
      ? `It has cost ${money(run.cost_usd)} so far.`
      : "You pay only for what it has done.";
    return (
      <Notice tone="quiet" title="Paused">
        {paid} Resume it whenever you like; nothing is lost.
      </Notice>
    );
  }
  const proposed = run.failure?.fix?.changes.max_cost_usd;
  const limit = run.max_cost_usd;
  if (typeof proposed !== "number" || limit === null) {
    return (
      <Notice
        tone="quiet"
        title="Paused: the budget of this workspace is used up"
        action={
          <div className={classes.row}>
            <ButtonLink variant="default" to="/usage">
              See the spending
            </ButtonLink>
            {canWrite && run.actions.includes("resume") && <ResumeRun run={run} />}
          </div>
        }
      >
        {run.failure?.message ?? "Its place is saved."} Once an admin has raised the budget, resume it here.
      </Notice>
    );
  }
  return (
    <Notice
      tone="quiet"
      title={`Paused: it reached the limit of ${money(limit)} that was set for it`}
      action={canWrite && <RaiseLimit run={run} limit={limit} proposed={proposed} />}
    >
      Its place is saved. Raise the limit and it goes on from there; what it has done is not paid twice.
    </Notice>
  );
}

function RaiseLimit({ run, limit, proposed }: { run: Run; limit: number; proposed: number }) {
  const change = useChangeRun(run.id);
  const resume = useResumeRun(run.id);
  const [next, setNext] = useState(proposed);
  const raise = (event: SubmitEvent) => {
    event.preventDefault();
    change
      .mutateAsync({ max_cost_usd: next })
      .then(() => resume.mutateAsync())
      .catch(tellFailure);
  };
  return (
    <form className={classes.row} onSubmit={raise}>
      <NumberInput
        label="New limit"
        prefix="$"
        decimalScale={4}
        min={limit}
        w={140}
        value={next}
        onChange={(value) => setNext(typeof value === "number" ? value : limit)}
      />
      <Button type="submit" disabled={next <= limit} loading={change.isPending || resume.isPending}>
        Raise it and resume
      </Button>
    </form>
  );
}
