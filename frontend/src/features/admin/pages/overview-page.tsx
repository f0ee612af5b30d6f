import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { AdminQueue } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { AdminPage } from "@/features/admin/components/admin-page";
import { QueueBars } from "@/features/admin/components/queue-bars";
import { QUEUES, troubleOf } from "@/features/admin/components/wording";
import { WorkspaceLimits } from "@/features/admin/components/workspace-limits";
import { queuesQuery } from "@/features/admin/queries";
import { useRefresh } from "@/features/admin/refresh";

export function OverviewPage() {
  return (
    <AdminPage title="Overview" lead="What runs and what waits, over all workspaces.">
      <Content />
    </AdminPage>
  );
}

function Content() {
  const { options } = useRefresh();
  const queues = useQuery({ ...queuesQuery, ...options });
  return (
    <QueryView query={queues} what="the queues" skeleton={<SkeletonLines count={3} height={112} />}>
      {(list) =>
        list.length === 0 ? (
          <Empty title="No queues yet">They appear with the first worker.</Empty>
        ) : (
          <>
            {list.map((queue) => (
              <Trouble key={queue.name} queue={queue} />
            ))}
            <Section title="Queues">
              <QueueBars queues={list} />
            </Section>
            <Section
              title="Workspaces"
              lead="Turns are shared fairly. A limit keeps one workspace from having more than so many jobs running at once."
            >
              <WorkspaceLimits queues={list} />
            </Section>
          </>
        )
      }
    </QueryView>
  );
}

function Trouble({ queue }: { queue: AdminQueue }) {
  const trouble = troubleOf(queue);
  if (!trouble) return null;
  return (
    <Notice
      tone="bad"
      title={`${QUEUES[queue.name]}: it does not move`}
      action={<Link to="/admin/workers">See the workers</Link>}
    >
      {trouble}
    </Notice>
  );
}
