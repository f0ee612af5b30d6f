import { useQuery } from "@tanstack/react-query";
import { ButtonLink } from "@/components/ui/button-link";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { AdminPage } from "@/features/admin/components/admin-page";
import { ModelServerList } from "@/features/admin/components/model-server-list";
import { WorkerRow } from "@/features/admin/components/worker-row";
import classes from "@/features/admin/components/worker-row.module.css";
import { modelServersQuery, workersQuery } from "@/features/admin/queries";
import { useRefresh } from "@/features/admin/refresh";

export function WorkersPage() {
  return (
    <AdminPage title="Workers" lead="The processes that do the work, and what each is at now.">
      <Content />
      <ServersSection />
    </AdminPage>
  );
}

function ServersSection() {
  const { options } = useRefresh();
  const servers = useQuery({ ...modelServersQuery, ...options });
  return (
    <Section
      title="Model servers"
      lead="What writes the answers when somebody talks to a model, by the base model that is under it."
    >
      <QueryView query={servers} what="the model servers" skeleton={<SkeletonLines count={2} height={40} />}>
        {(found) => <ModelServerList found={found} />}
      </QueryView>
    </Section>
  );
}

function Content() {
  const { options } = useRefresh();
  const workers = useQuery({ ...workersQuery, ...options });
  return (
    <QueryView query={workers} what="the workers" skeleton={<SkeletonLines count={3} height={120} />}>
      {(list) =>
        list.length === 0 ? (
          <Empty title="No worker yet" action={<ButtonLink to="/admin/join">Join a machine</ButtonLink>}>
            Jobs wait until a worker takes them. One starts with the service on this machine; others can join.
          </Empty>
        ) : (
          <ul className={classes.workers} aria-label="Workers">
            {list.map((worker) => (
              <WorkerRow key={worker.id} worker={worker} />
            ))}
          </ul>
        )
      }
    </QueryView>
  );
}
