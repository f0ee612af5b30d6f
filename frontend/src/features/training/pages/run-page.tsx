import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Metric, Run } from "@/api/types";
import { LossChart, type LossPoint } from "@/components/charts/loss-chart";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { TimeAgo } from "@/components/ui/time-ago";
import { versionQuery } from "@/features/datasets/queries";
import { useCan } from "@/features/session/queries";
import { CancelRun } from "@/features/training/components/cancel-run";
import { RunLog } from "@/features/training/components/run-log";
import { RunNumbers } from "@/features/training/components/run-numbers";
import { RunOutcome } from "@/features/training/components/run-outcome";
import { RunProgress } from "@/features/training/components/run-progress";
import { isLive, useRunStream } from "@/features/training/components/use-run-stream";
import { verdict } from "@/features/training/components/verdict";
import { runName, statusOf } from "@/features/training/components/wording";
import { isFinished, logQuery, metricsQuery, runQuery } from "@/features/training/queries";

const route = getRouteApi("/app/train/$runId");

export function RunPage() {
  const { runId } = route.useParams();
  const run = useQuery(runQuery(runId));
  const link = useRunStream(runId, isLive(run.data));
  const can = useCan();
  const loaded = run.data;
  return (
    <Page
      title={loaded ? runName(loaded) : "Run"}
      above={<Link to="/train">Train</Link>}
      lead={
        loaded && (
          <>
            <Status tone={statusOf(loaded).tone}>{statusOf(loaded).label}</Status>
            {" · "}started <TimeAgo at={loaded.created_at} />
            {link === "polling" && " · the live view was interrupted; looking again every few seconds"}
          </>
        )
      }
      actions={loaded && can("runs:write") && isLive(loaded) && <CancelRun run={loaded} />}
    >
      <QueryView query={run} what="this run" skeleton={<SkeletonLines count={8} height={36} />}>
        {(data) => <Content run={data} />}
      </QueryView>
    </Page>
  );
}

function toPoints(metrics: Metric[]): LossPoint[] {
  return metrics.map((metric) => ({
    step: metric.step,
    train: metric.train_loss ?? null,
    heldOut: metric.full_valid_loss ?? metric.valid_loss ?? null,
  }));
}

function Content({ run }: { run: Run }) {
  const metrics = useQuery(metricsQuery(run.id));
  const log = useQuery(logQuery(run.id));
  const version = useQuery(versionQuery(run.dataset_version_id));
  const points = useMemo(() => toPoints(metrics.data ?? []), [metrics.data]);
  return (
    <>
      <RunOutcome run={run} datasetId={version.data?.dataset_id ?? null} />
      <RunProgress run={run} />
      <Section title="How well it learns" lead={<LearningSentence run={run} metrics={metrics.data ?? []} />}>
        {points.length > 0 ? (
          <LossChart points={points} name={runName(run)} />
        ) : (
          <p>
            {isFinished(run)
              ? "This run was over before there was anything to draw."
              : "The chart begins with the first step."}
          </p>
        )}
      </Section>
      <Section title="Numbers">
        <RunNumbers run={run} numExamples={version.data?.num_rows ?? null} />
      </Section>
      <RunLog events={log.data ?? []} />
    </>
  );
}

function LearningSentence({ run, metrics }: { run: Run; metrics: Metric[] }) {
  return metrics.length > 0 ? verdict(metrics, isFinished(run)) : null;
}
