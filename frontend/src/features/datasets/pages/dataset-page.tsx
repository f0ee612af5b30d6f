import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ButtonLink } from "@/components/ui/button-link";
import type { Dataset, RowFilter } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Stitches } from "@/components/ui/stitches";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { TimeAgo } from "@/components/ui/time-ago";
import { Tip } from "@/components/ui/tip";
import { DatasetActions } from "@/features/datasets/components/dataset-actions";
import { DownloadMenu } from "@/features/datasets/components/download-menu";
import { HealthReport } from "@/features/datasets/components/health-report";
import { LearnerList } from "@/features/datasets/components/learner-list";
import { LearnedRows } from "@/features/datasets/components/learned-rows";
import { ProblemList } from "@/features/datasets/components/problem-list";
import { RowList } from "@/features/datasets/components/row-list";
import { VersionList } from "@/features/datasets/components/version-list";
import { datasetQuery } from "@/features/datasets/queries";
import { useCan } from "@/features/session/queries";
import { percent } from "@/lib/format";
import classes from "./dataset-page.module.css";

const route = getRouteApi("/app/data/$datasetId");
const FILTERS: readonly string[] = ["all", "problems", "heldout"] satisfies RowFilter[];

const ROWS_ID = "rows";

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
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const can = useCan();
  const version = dataset.latest_version;
  const filter = (FILTERS.includes(search.filter ?? "") ? search.filter : "all") as RowFilter;
  const show = (change: { filter: RowFilter; search: string; finding?: string }) =>
    void navigate({
      search: {
        ...(change.filter === "all" ? {} : { filter: change.filter }),
        ...(change.search ? { q: change.search } : {}),
        ...(change.finding ? { finding: change.finding } : {}),
      },
      replace: true,
      resetScroll: false,
    });
  if (version.status === "validating") {
    return (
      <Section title="Reading your examples" lead="You can close this page; the work goes on.">
        <Stitches fraction={version.progress} label="Reading your examples" />
        <p>{percent(version.progress)} read</p>
      </Section>
    );
  }
  if (version.status === "failed") {
    return (
      <Notice
        tone="bad"
        title="These examples cannot be used yet"
        action={
          <ButtonLink to="/data/new" variant="default">
            Bring a mended file
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
          onShow={(finding) => {
            show({ filter: "all", search: "", finding });
            document.getElementById(ROWS_ID)?.scrollIntoView();
          }}
        />
        {version.num_problems > 0 && (
          <details className={classes.details}>
            <summary>Show each problem and how to mend it</summary>
            <ProblemList problems={version.problems} total={version.num_problems} />
          </details>
        )}
      </Section>
      <LearnedRows versionId={version.id} kind={version.kind} />
      <div id={ROWS_ID}>
        <RowList
          versionId={version.id}
          filter={filter}
          search={search.q ?? ""}
          finding={search.finding ?? ""}
          onChange={show}
        />
      </div>
      <VersionList datasetId={dataset.id} latestId={version.id} canChange={can("datasets:write")} />
      <LearnerList datasetId={dataset.id} />
    </>
  );
}
