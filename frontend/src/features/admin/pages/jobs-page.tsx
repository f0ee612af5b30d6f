import { NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { AdminJob } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Paging } from "@/components/ui/paging";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { AdminPage } from "@/features/admin/components/admin-page";
import { JobTable } from "@/features/admin/components/job-table";
import { JOB_STATES, jobWords, QUEUES } from "@/features/admin/components/wording";
import { jobsQuery, queuesQuery } from "@/features/admin/queries";
import { useRefresh } from "@/features/admin/refresh";
import { plural } from "@/lib/format";
import classes from "./jobs-page.module.css";

const route = getRouteApi("/app/admin/jobs");

export function JobsPage() {
  return (
    <AdminPage title="Jobs" lead="Everything that was asked of the machines, newest first.">
      <Content />
    </AdminPage>
  );
}

function wordsOf(job: AdminJob): string {
  return [job.id, job.run_id, job.title, job.workspace.name, job.created_by_name, job.error?.message]
    .filter(Boolean)
    .join(" ")
    .toLowerCase();
}

function Content() {
  const search = route.useSearch();
  const { options } = useRefresh();
  const [typed, setTyped] = useState("");
  const jobs = useQuery({ ...jobsQuery(search), ...options });
  const isFiltered = Boolean(search.state ?? search.queue ?? search.workspace ?? search.after);
  const wanted = typed.trim().toLowerCase();
  return (
    <div className={classes.jobs}>
      <Filters typed={typed} onType={setTyped} />
      <QueryView query={jobs} what="the jobs" skeleton={<SkeletonLines count={8} height={36} />}>
        {(list) => {
          const shown = wanted ? list.data.filter((job) => wordsOf(job).includes(wanted)) : list.data;
          if (list.data.length === 0 && !isFiltered) {
            return (
              <Empty title="No job yet">
                Reading a file and training a model show up here as they begin.
              </Empty>
            );
          }
          return (
            <>
              {shown.length > 0 ? (
                <JobTable jobs={shown} />
              ) : (
                <p>
                  {wanted
                    ? `None of the ${plural(list.data.length, "job")} here matches “${typed.trim()}”.`
                    : "No job matches."}
                </p>
              )}
              <Turns last={list.has_more ? list.last_id : null} />
            </>
          );
        }}
      </QueryView>
    </div>
  );
}

function Filters({ typed, onType }: { typed: string; onType: (words: string) => void }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const queues = useQuery(queuesQuery);
  const workspaces = new Map(
    queues.data?.flatMap((queue) =>
      queue.workspaces.map((share) => [share.workspace_id, share.name] as const),
    ),
  );
  // Another choice begins again at the newest job.
  const choose = (part: Partial<typeof search>) =>
    void navigate({
      search: Object.fromEntries(
        Object.entries({ ...search, after: undefined, ...part }).filter(([, value]) => value),
      ),
    });
  return (
    <div className={classes.filters}>
      <TextInput
        type="search"
        label="Search this page"
        placeholder="Title, person, id"
        value={typed}
        onChange={(event) => onType(event.currentTarget.value)}
      />
      <NativeSelect
        label="State"
        value={search.state ?? ""}
        onChange={(event) => choose({ state: event.currentTarget.value as AdminJob["state"] })}
        data={[
          { value: "", label: "All" },
          ...JOB_STATES.map((state) => ({ value: state, label: jobWords({ state }).label })),
        ]}
      />
      <NativeSelect
        label="Queue"
        value={search.queue ?? ""}
        onChange={(event) => choose({ queue: event.currentTarget.value as AdminJob["queue"] })}
        data={[
          { value: "", label: "All" },
          ...Object.entries(QUEUES).map(([value, label]) => ({ value, label })),
        ]}
      />
      <NativeSelect
        label="Workspace"
        value={search.workspace ?? ""}
        onChange={(event) => choose({ workspace: event.currentTarget.value })}
        data={[{ value: "", label: "All" }, ...[...workspaces].map(([value, label]) => ({ value, label }))]}
      />
    </div>
  );
}

function Turns({ last }: { last: string | null }) {
  const search = route.useSearch();
  const { after, ...newest } = search;
  return (
    <Paging
      newest={
        after && (
          <Link to="/admin/jobs" search={newest}>
            Back to the newest
          </Link>
        )
      }
      older={
        last && (
          <ButtonLink size="xs" variant="default" to="/admin/jobs" search={{ ...search, after: last }}>
            Older jobs
          </ButtonLink>
        )
      }
    />
  );
}
