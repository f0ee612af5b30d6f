import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { Dataset, Model } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Page } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { datasetsQuery, versionQuery } from "@/features/datasets/queries";
import { modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import { RunForm } from "@/features/training/components/run-form";
import { runName } from "@/features/training/components/wording";
import { runQuery } from "@/features/training/queries";

const route = getRouteApi("/app/train/new");
const skeleton = <SkeletonLines count={6} height={44} />;

export function NewRunPage() {
  const { from } = route.useSearch();
  const can = useCan();
  const copied = useQuery({ ...runQuery(from ?? ""), enabled: from !== undefined });
  const title = from ? "Run it again with a change" : "Make a model of your own";
  return (
    <Page
      title={title}
      above={<Link to="/train">Train</Link>}
      lead={
        from &&
        copied.data && (
          <>
            Everything is as in{" "}
            <Link to="/train/$runId" params={{ runId: from }}>
              {runName(copied.data)}
            </Link>
            . What you change is marked.
          </>
        )
      }
      width="reading"
    >
      {can("runs:write") ? <Choices from={from} /> : <Forbidden what="this page" />}
    </Page>
  );
}

function Choices({ from }: { from: string | undefined }) {
  const datasets = useQuery(datasetsQuery);
  const models = useQuery(modelsQuery);
  return (
    <QueryView query={datasets} what="your examples" skeleton={skeleton}>
      {(list) => (
        <QueryView query={models} what="the base models" skeleton={skeleton}>
          {(available) => {
            const ready = list.data.filter((dataset) => dataset.latest_version.status === "ready");
            const bases = available.filter((model) => model.kind === "base" && model.is_ready);
            if (bases.length === 0) return <NoBaseModel />;
            if (ready.length === 0) return <NoExamples />;
            return from ? (
              <Copy key={from} from={from} datasets={ready} bases={bases} />
            ) : (
              <Fresh datasets={ready} bases={bases} />
            );
          }}
        </QueryView>
      )}
    </QueryView>
  );
}

interface ChoicesProps {
  datasets: Dataset[];
  bases: Model[];
}

function Fresh(props: ChoicesProps) {
  const { dataset } = route.useSearch();
  return <RunForm {...props} wanted={dataset} copied={null} />;
}

function Copy({ from, ...props }: ChoicesProps & { from: string }) {
  const run = useQuery(runQuery(from));
  const version = useQuery({
    ...versionQuery(run.data?.dataset_version_id ?? ""),
    enabled: run.data !== undefined,
  });
  return (
    <QueryView query={run} what="the run to copy" skeleton={skeleton}>
      {(copied) => (
        <QueryView query={version} what="its examples" skeleton={skeleton}>
          {({ dataset_id: datasetId }) => (
            <RunForm {...props} wanted={datasetId} copied={{ run: copied, datasetId }} />
          )}
        </QueryView>
      )}
    </QueryView>
  );
}

function NoBaseModel() {
  return (
    <Empty title="The base model is still being prepared">
      This happens once, after the first start, and takes a few minutes. Come back soon; nothing is lost.
    </Empty>
  );
}

function NoExamples() {
  return (
    <Empty title="First, some examples" action={<ButtonLink to="/data/new">Add examples</ButtonLink>}>
      A model of your own starts with questions and the answers you wish for. Bring a spreadsheet or try the
      sample data.
    </Empty>
  );
}
