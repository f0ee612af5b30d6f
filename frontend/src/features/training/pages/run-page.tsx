import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Run } from "@/api/types";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { TimeAgo } from "@/components/ui/time-ago";
import { versionQuery } from "@/features/datasets/queries";
import { useCan } from "@/features/session/queries";
import { LeakageNotice } from "@/features/training/components/leakage-notice";
import { LearningCurve } from "@/features/training/components/learning-curve";
import { LinkMark } from "@/features/training/components/link-mark";
import { RunActions } from "@/features/training/components/run-actions";
import { RunLog } from "@/features/training/components/run-log";
import { RunNumbers } from "@/features/training/components/run-numbers";
import { RunOutcome } from "@/features/training/components/run-outcome";
import { RunProgress } from "@/features/training/components/run-progress";
import { RunSettings } from "@/features/training/components/run-settings";
import { RunStory } from "@/features/training/components/run-story";
import { isLive, useRunStream } from "@/features/training/components/use-run-stream";
import { WaitingSettings } from "@/features/training/components/waiting-settings";
import { runName, statusOf } from "@/features/training/components/wording";
import { LiveMetrics } from "@/features/training/live-metrics";
import { logQuery, runQuery } from "@/features/training/queries";

const route = getRouteApi("/app/train/$runId");

export function RunPage() {
  const { runId } = route.useParams();
  return <OneRun key={runId} runId={runId} />;
}

function OneRun({ runId }: { runId: string }) {
  const run = useQuery(runQuery(runId));
  const [live] = useState(() => new LiveMetrics());
  const link = useRunStream(runId, isLive(run.data), live);
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
            {" · "}
            <TimeAgo at={loaded.created_at} />
            {loaded.cloned_from && (
              <>
                {" · "}
                <Link to="/train/$runId" params={{ runId: loaded.cloned_from }}>
                  made from an earlier run
                </Link>
              </>
            )}{" "}
            <LinkMark link={link} />
          </>
        )
      }
      actions={loaded && can("runs:write") && <RunActions run={loaded} />}
    >
      <QueryView query={run} what="this run" skeleton={<SkeletonLines count={8} height={36} />}>
        {(data) => <Content run={data} live={live} />}
      </QueryView>
    </Page>
  );
}

function Content({ run, live }: { run: Run; live: LiveMetrics }) {
  const can = useCan();
  const log = useQuery(logQuery(run.id));
  const version = useQuery(versionQuery(run.dataset_version_id));
  return (
    <>
      <RunOutcome run={run} datasetId={version.data?.dataset_id ?? null} canWrite={can("runs:write")} />
      <RunProgress run={run} />
      <LeakageNotice leakage={run.leakage} />
      {run.status === "queued" && can("runs:write") && <WaitingSettings run={run} />}
      <LearningCurve run={run} live={live} />
      <Section title="Numbers">
        <RunNumbers run={run} numExamples={version.data?.num_rows ?? null} />
      </Section>
      <RunSettings run={run} />
      <RunStory run={run} events={log.data ?? []} />
      <RunLog events={log.data ?? []} />
    </>
  );
}
