import { ButtonLink } from "@/components/ui/button-link";
import type { Run } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { PausedRun } from "@/features/training/components/paused-run";
import { FailedRun } from "@/features/training/components/run-failure";
import { improvement } from "@/features/training/components/verdict";
import { money, percent } from "@/lib/format";

interface RunOutcomeProps {
  run: Run;
  datasetId: string | null;
  canWrite: boolean;
}

/** What came of a run, and the one thing to do next. */
export function RunOutcome({ run, datasetId, canWrite }: RunOutcomeProps) {
  if (run.status === "succeeded") return <Success run={run} />;
  if (run.status === "failed") return <FailedRun run={run} datasetId={datasetId} canWrite={canWrite} />;
  if (run.status === "paused") return <PausedRun run={run} canWrite={canWrite} />;
  if (run.status !== "cancelled") return null;
  return (
    <Notice tone="quiet" title="This run was cancelled">
      Nothing was kept of it.{" "}
      {run.cost_usd ? `It cost ${money(run.cost_usd)}, for the time it worked.` : "It cost nothing."}
    </Notice>
  );
}

function Success({ run }: { run: Run }) {
  const gain = improvement(run);
  // A whole model is none of the add-ons that the chat here can put on.
  const tried = run.fine_tuned_model && run.adapter.type !== "full" && (
    <ButtonLink to="/playground" search={{ left: run.model, right: run.fine_tuned_model }}>
      Try it
    </ButtonLink>
  );
  if (gain === null || gain > 0.01) {
    return (
      <Notice tone="good" title="Your model is ready" action={tried}>
        {gain === null
          ? "Ask it something and see."
          : `It is ${percent(gain)} less surprised by good answers it has never seen than the base model was.`}
      </Notice>
    );
  }
  return (
    <Notice tone="warn" title="Your model is ready, but it is no better than the base model" action={tried}>
      On examples it has not seen it does as well as before. More, or more varied, examples usually help.
    </Notice>
  );
}
