import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { AdminJobDetails } from "@/api/types";
import { Facts } from "@/components/ui/facts";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Stitches } from "@/components/ui/stitches";
import { TimeAgo } from "@/components/ui/time-ago";
import { Tip } from "@/components/ui/tip";
import { AdminPage } from "@/features/admin/components/admin-page";
import { AttemptBars } from "@/features/admin/components/attempt-bars";
import { JobActions } from "@/features/admin/components/job-actions";
import { LiveLog } from "@/features/admin/components/live-log";
import { isOver, jobWords, progressWords, QUEUES } from "@/features/admin/components/wording";
import { jobQuery } from "@/features/admin/queries";
import { useRefresh } from "@/features/admin/refresh";
import { useCan, useSession } from "@/features/session/queries";
import { duration, plural, whenLabel } from "@/lib/format";
import { useNow } from "@/lib/use-now";

const route = getRouteApi("/app/admin/jobs/$jobId");

export function JobPage() {
  const { jobId } = route.useParams();
  const { options } = useRefresh();
  const isAllowed = useCan()("installation:admin");
  const job = useQuery({ ...jobQuery(jobId), ...options, enabled: isAllowed });
  const loaded = job.data;
  return (
    <AdminPage
      title={loaded?.title ?? "Job"}
      lead={loaded && <Lead job={loaded} />}
      actions={loaded && <JobActions job={loaded} />}
    >
      <QueryView query={job} what="this job" skeleton={<SkeletonLines count={8} height={36} />}>
        {(data) => <Content key={data.id} job={data} />}
      </QueryView>
    </AdminPage>
  );
}

function Lead({ job }: { job: AdminJobDetails }) {
  const { workspace } = useSession();
  const words = jobWords(job);
  return (
    <>
      <Status tone={words.tone}>{words.label}</Status>
      {" · "}
      {job.workspace.name}
      {job.created_by_name && `, ${job.created_by_name}`}
      {" · "}
      <TimeAgo at={job.created_at} />
      {job.run_id && workspace.id === job.workspace.id && (
        <>
          {" · "}
          <Link to="/train/$runId" params={{ runId: job.run_id }}>
            its run
          </Link>
        </>
      )}
      <br />
      <code>{job.id}</code>
    </>
  );
}

function Content({ job }: { job: AdminJobDetails }) {
  const { progress } = job;
  const isCounting = progress !== null && progress.total_steps > 0;
  return (
    <>
      {job.error && (
        <Notice tone={job.state === "failed" ? "bad" : "quiet"} title={job.error.message as string}>
          {job.blame === "platform_error" ? "Our fault: it costs its owner nothing." : null} Code{" "}
          <code>{job.error.code as string}</code>
        </Notice>
      )}
      {job.state === "running" && (
        <Stitches
          fraction={isCounting ? progress.step / progress.total_steps : null}
          label="Progress of the job"
        />
      )}
      <Numbers job={job} />
      <Section title="Tries" lead="Each bar is the time that one worker had it; dashes are waiting.">
        <AttemptBars job={job} />
      </Section>
      <LiveLog job={job} />
    </>
  );
}

const LEASE =
  "A worker has a job only for so long and renews that all the time. When it falls silent the time runs out, and another worker goes on. Engineers call it a lease.";

function triesNote({ num_interruptions: forgiven, max_attempts: most }: AdminJobDetails): string {
  const ends = `fails for good after ${most}`;
  return forgiven > 0 ? `${plural(forgiven, "does", "do")} not count; ${ends}` : ends;
}

function leaseWords({ lease }: AdminJobDetails, nowS: number): string {
  if (!lease) return "—";
  return lease.expires_at > nowS ? duration(lease.expires_at - nowS) : "ran out";
}

function Numbers({ job }: { job: AdminJobDetails }) {
  const now = useNow(1000);
  const waits = job.state === "queued" || job.state === "validating";
  const start =
    job.not_before !== null && job.not_before * 1000 > now ? whenLabel(job.not_before, now) : null;
  return (
    <Facts
      facts={[
        {
          label: "Queue",
          value: job.queue,
          note: `${QUEUES[job.queue]}${job.priority === 0 ? "" : `, priority ${job.priority}`}`,
        },
        {
          label: "Now",
          value: isOver(job)
            ? "—"
            : (progressWords(job.progress) ?? job.stage?.replaceAll("_", " ") ?? jobWords(job).label),
          note: job.pause_requested
            ? "pausing"
            : job.cancel_requested
              ? "stopping"
              : start && `starts ${start}`,
        },
        {
          label: "Tries",
          value: job.attempt,
          note: triesNote(job),
        },
        { label: waits ? "Waits" : "Waited", value: job.wait_s === null ? "—" : duration(job.wait_s) },
        {
          label: <Tip label={LEASE}>Its worker has it for</Tip>,
          value: leaseWords(job, now / 1000),
          note: job.lease && (
            <>
              renewed <TimeAgo at={job.lease.heartbeat_at} />
            </>
          ),
        },
      ]}
    />
  );
}
