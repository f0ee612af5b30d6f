import { Link } from "@tanstack/react-router";
import type { AdminJob } from "@/api/types";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { jobWords } from "@/features/admin/components/wording";
import { duration, percent } from "@/lib/format";

const COLUMNS: TableColumn<AdminJob>[] = [
  {
    key: "title",
    title: "Job",
    sortBy: (job) => job.title,
    cell: (job) => (
      <Link to="/admin/jobs/$jobId" params={{ jobId: job.id }}>
        {job.title}
      </Link>
    ),
  },
  {
    key: "state",
    title: "State",
    sortBy: (job) => job.state,
    cell: (job) => {
      const { tone, label } = jobWords(job);
      const { progress } = job;
      const share =
        job.state === "running" && progress && progress.total_steps > 0
          ? percent(progress.step / progress.total_steps)
          : null;
      return <Status tone={tone}>{share ? `${label}, ${share}` : label}</Status>;
    },
  },
  {
    key: "workspace",
    title: "Workspace",
    isSecondary: true,
    sortBy: (job) => job.workspace.name,
    cell: (job) => job.workspace.name,
  },
  { key: "queue", title: "Queue", isSecondary: true, sortBy: (job) => job.queue, cell: (job) => job.queue },
  {
    key: "tries",
    title: "Tries",
    align: "end",
    isSecondary: true,
    sortBy: (job) => job.attempt,
    cell: (job) => job.attempt,
  },
  {
    key: "wait",
    title: "Waited",
    align: "end",
    isSecondary: true,
    sortBy: (job) => job.wait_s ?? -1,
    cell: (job) => (job.wait_s === null ? "—" : duration(job.wait_s)),
  },
  {
    key: "created",
    title: "Made",
    align: "end",
    isSecondary: true,
    sortBy: (job) => job.created_at,
    cell: (job) => <TimeAgo at={job.created_at} />,
  },
];

export function JobTable({ jobs }: { jobs: AdminJob[] }) {
  return <Table label="Jobs" columns={COLUMNS} items={jobs} rowKey={(job) => job.id} />;
}
