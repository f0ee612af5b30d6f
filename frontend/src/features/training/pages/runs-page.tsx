import { useQuery } from "@tanstack/react-query";
import { ButtonLink } from "@/components/ui/button-link";
import { Page } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { useCan } from "@/features/session/queries";
import { RunTable } from "@/features/training/components/run-table";
import { runsQuery } from "@/features/training/queries";

export function RunsPage() {
  const runs = useQuery(runsQuery);
  const can = useCan();
  const start = can("runs:write") && <ButtonLink to="/train/new">Make a model</ButtonLink>;
  return (
    <Page title="Train" lead="Each run turns a set of examples into a model of your own." actions={start}>
      <QueryView query={runs} what="your runs" skeleton={<SkeletonLines count={5} height={36} />}>
        {(list) =>
          list.data.length === 0 ? (
            <Empty title="Nothing trained yet">
              Choose your examples, see what it takes and what it costs, and start. You can close the page
              while it learns.
            </Empty>
          ) : (
            <RunTable runs={list.data} />
          )
        }
      </QueryView>
    </Page>
  );
}
