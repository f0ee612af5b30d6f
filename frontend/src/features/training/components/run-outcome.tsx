import { ButtonLink } from "@/components/ui/button-link";
import type { Run } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { faultOf } from "@/features/training/components/wording";
import { improvement } from "@/features/training/components/verdict";
import { percent } from "@/lib/format";

/** What came of a run, and the one thing to do next. */
export function RunOutcome({ run, datasetId }: { run: Run; datasetId: string | null }) {
  if (run.status === "succeeded") return <Success run={run} />;
  if (run.status === "failed") return <FailedRun run={run} datasetId={datasetId} />;
  if (run.status !== "cancelled") return null;
  return (
    <Notice
      tone="warn"
      title="This run was cancelled"
      action={<Again datasetId={datasetId} label="Start a new one" />}
    >
      Nothing was kept of it. You pay only for the time it ran.
    </Notice>
  );
}

function Success({ run }: { run: Run }) {
  const gain = improvement(run);
  const tried = run.fine_tuned_model && (
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

function FailedRun({ run, datasetId }: { run: Run; datasetId: string | null }) {
  const fault = faultOf(run);
  const action =
    fault.action === "usage" ? (
      <ButtonLink to="/usage">See the spending</ButtonLink>
    ) : fault.action === "data" && datasetId ? (
      <ButtonLink to="/data/$datasetId" params={{ datasetId }} search={{ filter: "problems" }}>
        Look at the examples
      </ButtonLink>
    ) : (
      <Again datasetId={datasetId} label="Start it again" />
    );
  return (
    <Notice tone="bad" title="The run failed" action={action}>
      <p>{run.error?.message ?? "It stopped before it was done."}</p>
      <p>
        {fault.whose} {fault.whatNow}
      </p>
    </Notice>
  );
}

function Again({ datasetId, label }: { datasetId: string | null; label: string }) {
  return (
    <ButtonLink to="/train/new" search={datasetId ? { dataset: datasetId } : {}}>
      {label}
    </ButtonLink>
  );
}
