import { Link } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { runName, statusOf } from "@/features/training/components/wording";
import { duration, money, percent } from "@/lib/format";

const COLUMNS: TableColumn<Run>[] = [
  {
    key: "name",
    title: "Name",
    sortBy: runName,
    cell: (run) => (
      <Link to="/train/$runId" params={{ runId: run.id }}>
        {runName(run)}
      </Link>
    ),
  },
  {
    key: "status",
    title: "State",
    sortBy: (run) => run.status,
    cell: (run) => {
      const { tone, label } = statusOf(run);
      const isPartDone = (run.status === "running" || run.status === "paused") && run.progress !== null;
      return (
        <Status tone={tone}>
          {isPartDone ? `${label}, ${percent(run.progress?.fraction ?? 0)}` : label}
        </Status>
      );
    },
  },
  {
    key: "examples",
    title: "Examples",
    isSecondary: true,
    sortBy: (run) => run.dataset_name ?? "",
    cell: (run) => run.dataset_name ?? "—",
  },
  {
    key: "time",
    title: "Took",
    align: "end",
    isSecondary: true,
    sortBy: (run) => run.seconds ?? 0,
    cell: (run) => (run.seconds === null ? "—" : duration(run.seconds)),
  },
  {
    key: "cost",
    title: "Cost",
    align: "end",
    sortBy: (run) => run.cost_usd ?? 0,
    cell: (run) => (run.cost_usd === null ? "—" : money(run.cost_usd)),
  },
  {
    key: "created",
    title: "Started",
    align: "end",
    isSecondary: true,
    sortBy: (run) => run.created_at,
    cell: (run) => <TimeAgo at={run.created_at} />,
  },
];

export function RunTable({ runs }: { runs: Run[] }) {
  return <Table label="Training runs" columns={COLUMNS} items={runs} rowKey={(run) => run.id} />;
}
