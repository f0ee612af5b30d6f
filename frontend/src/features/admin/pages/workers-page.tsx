import { useQuery } from "@tanstack/react-query";
import { ButtonLink } from "@/components/ui/button-link";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { AdminPage } from "@/features/admin/components/admin-page";
import { WorkerRow } from "@/features/admin/components/worker-row";
import classes from "@/features/admin/components/worker-row.module.css";
import { workersQuery } from "@/features/admin/queries";
import { useRefresh } from "@/features/admin/refresh";

export function WorkersPage() {
  return (
    <AdminPage title="Workers" lead="The processes that do the work, and what each is at now.">
      <Content />
    </AdminPage>
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
