import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ButtonLink } from "@/components/ui/button-link";
import type { Dataset } from "@/api/types";
import { Page } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { datasetsQuery } from "@/features/datasets/queries";
import { useCan } from "@/features/session/queries";
import { count, percent, plural } from "@/lib/format";

function DatasetStatus({ dataset }: { dataset: Dataset }) {
  const version = dataset.latest_version;
  if (version.status === "validating")
    return <Status tone="busy">{`Checking, ${percent(version.progress)}`}</Status>;
  if (version.status === "failed") return <Status tone="bad">Could not be used</Status>;
  if (version.num_problems > 0) return <Status tone="warn">{plural(version.num_problems, "problem")}</Status>;
  return <Status tone="good">Ready</Status>;
}

const COLUMNS: TableColumn<Dataset>[] = [
  {
    key: "name",
    title: "Name",
    sortBy: (dataset) => dataset.name,
    cell: (dataset) => (
      <Link to="/data/$datasetId" params={{ datasetId: dataset.id }}>
        {dataset.name}
      </Link>
    ),
  },
  {
    key: "kind",
    title: "Kind",
    isSecondary: true,
    cell: (dataset) => ROW_KINDS[dataset.latest_version.kind].label,
  },
  { key: "status", title: "State", cell: (dataset) => <DatasetStatus dataset={dataset} /> },
  {
    key: "rows",
    title: "Examples",
    align: "end",
    sortBy: (dataset) => dataset.latest_version.num_rows,
    cell: (dataset) => count(dataset.latest_version.num_rows),
  },
  {
    key: "created",
    title: "Added",
    align: "end",
    isSecondary: true,
    sortBy: (dataset) => dataset.created_at,
    cell: (dataset) => <TimeAgo at={dataset.created_at} />,
  },
];

export function DatasetsPage() {
  const datasets = useQuery(datasetsQuery);
  const can = useCan();
  const actions = (
    <>
      {can("datasets:erase") && (
        <ButtonLink to="/data/erase" variant="default">
          Forget a person
        </ButtonLink>
      )}
      {can("datasets:write") && <ButtonLink to="/data/new">Add examples</ButtonLink>}
    </>
  );
  return (
    <Page title="Data" lead="Your examples: what was asked, and the answer you wish for." actions={actions}>
      <QueryView query={datasets} what="your examples" skeleton={<SkeletonLines count={5} height={36} />}>
        {(list) =>
          list.data.length === 0 ? (
            <Empty title="No examples yet">
              A model of your own starts with a spreadsheet of questions and good answers. Add yours, or try
              the sample data that comes with Tailorbird.
            </Empty>
          ) : (
            <Table
              label="Your examples"
              columns={COLUMNS}
              items={list.data}
              rowKey={(dataset) => dataset.id}
            />
          )
        }
      </QueryView>
    </Page>
  );
}
