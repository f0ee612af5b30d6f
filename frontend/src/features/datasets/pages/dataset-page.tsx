import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { ButtonLink } from "@/components/ui/button-link";
import type { Dataset } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { TimeAgo } from "@/components/ui/time-ago";
import { Tip } from "@/components/ui/tip";
import { DatasetActions } from "@/features/datasets/components/dataset-actions";
import { DownloadMenu } from "@/features/datasets/components/download-menu";
import { EnoughCheck } from "@/features/datasets/components/enough-check";
import { HealthReport } from "@/features/datasets/components/health-report";
import { HeldBack } from "@/features/datasets/components/held-back";
import { Making } from "@/features/datasets/components/making";
import { LearnerList } from "@/features/datasets/components/learner-list";
import { LearnedRows } from "@/features/datasets/components/learned-rows";
import { OnePass } from "@/features/datasets/components/one-pass";
import { ProblemList } from "@/features/datasets/components/problem-list";
import { VersionList } from "@/features/datasets/components/version-list";
import { datasetQuery } from "@/features/datasets/queries";
import { useCan } from "@/features/session/queries";
import classes from "./dataset-page.module.css";

const route = getRouteApi("/app/data/$datasetId");
export function DatasetPage() {
  const { datasetId } = route.useParams();
  const dataset = useQuery(datasetQuery(datasetId));
  const can = useCan();
  const loaded = dataset.data;
  const isReady = loaded?.latest_version.status === "ready";
  return (
    <Page
      title={loaded?.name ?? "Examples"}
      above={<Link to="/data">Data</Link>}
      lead={
        loaded && (
          <>
            <Tip label={ROW_KINDS[loaded.latest_version.kind].sentence}>
              {ROW_KINDS[loaded.latest_version.kind].label}
            </Tip>
            {" · "}Added <TimeAgo at={loaded.created_at} />
          </>
        )
      }
      actions={
        loaded && (
          <>
            {isReady && (
              <ButtonLink to="/data/$datasetId/rows" params={{ datasetId: loaded.id }} variant="default">
                See all examples
              </ButtonLink>
            )}
            {isReady && <DownloadMenu versionId={loaded.latest_version.id} />}
            {can("datasets:write") && <DatasetActions dataset={loaded} />}
            {can("runs:write") && isReady && (
              <ButtonLink to="/train/new" search={{ dataset: loaded.id }}>
                Train on these
              </ButtonLink>
            )}
          </>
        )
      }
    >
      <QueryView query={dataset} what="these examples" skeleton={<SkeletonLines count={8} height={32} />}>
        {(data) => <Content dataset={data} />}
      </QueryView>
    </Page>
  );
}

function Content({ dataset }: { dataset: Dataset }) {
  const navigate = useNavigate();
  const can = useCan();
  const version = dataset.latest_version;
  if (version.status === "validating") return <Making version={version} />;
  if (version.status === "failed") {
    return (
      <Notice
        tone="bad"
        title="These examples cannot be used yet"
        action={
          <ButtonLink to="/data/new" variant="default">
            {version.changes?.length ? "Bring other examples" : "Bring a mended file"}
          </ButtonLink>
        }
      >
        {version.error?.message ?? "The file could not be read."}
      </Notice>
    );
  }
  return (
    <>
      <Section title="How healthy they are">
        <HealthReport
          version={version}
          canChange={can("datasets:write")}
          onShow={(finding) =>
            void navigate({
              to: "/data/$datasetId/rows",
              params: { datasetId: dataset.id },
              search: { finding },
            })
          }
        />
        {can("runs:read") && <OnePass version={version} />}
        {version.num_problems > 0 && (
          <details className={classes.details}>
            <summary>Show each problem and how to mend it</summary>
            <ProblemList problems={version.problems} total={version.num_problems} />
          </details>
        )}
      </Section>
      {version.kind !== "text" && <EnoughCheck version={version} canAsk={can("runs:write")} />}
      <HeldBack version={version} canChange={can("datasets:write")} />
      <LearnedRows datasetId={dataset.id} version={version} />
      <VersionList datasetId={dataset.id} latestId={version.id} canChange={can("datasets:write")} />
      <LearnerList datasetId={dataset.id} />
    </>
  );
}
