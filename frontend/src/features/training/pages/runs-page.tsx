import { NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { useCan } from "@/features/session/queries";
import { RunTable } from "@/features/training/components/run-table";
import { WaitingList } from "@/features/training/components/waiting-list";
import { statusOf } from "@/features/training/components/wording";
import { runsQuery, waitingQuery } from "@/features/training/queries";
import { plural } from "@/lib/format";

const route = getRouteApi("/app/train");
const STATES: Run["status"][] = ["running", "queued", "paused", "succeeded", "failed", "cancelled"];

export function RunsPage() {
  const runs = useQuery(runsQuery);
  const can = useCan();
  const start = can("runs:write") && <ButtonLink to="/train/new">Make a model</ButtonLink>;
  return (
    <Page title="Train" lead="Each run turns a set of examples into a model of your own." actions={start}>
      <Waiting />
      <QueryView query={runs} what="your runs" skeleton={<SkeletonLines count={5} height={36} />}>
        {(list) =>
          list.data.length === 0 ? (
            <Empty title="Nothing trained yet">
              Choose your examples, see what it takes and what it costs, and start. You can close the page
              while it learns.
            </Empty>
          ) : (
            <AllRuns runs={list.data} />
          )
        }
      </QueryView>
    </Page>
  );
}

/** Drawn only while something waits; the table below has everything. */
function Waiting() {
  const waiting = useQuery(waitingQuery);
  const can = useCan();
  if (!waiting.data || waiting.data.data.length === 0) return null;
  return (
    <Section
      title="Waiting in line"
      lead={
        waiting.data.data.length > 1
          ? "In the order of their turns; runs of other workspaces may stand between. Move what matters more up."
          : null
      }
    >
      <WaitingList runs={waiting.data.data} canMove={can("runs:write")} />
    </Section>
  );
}

function AllRuns({ runs }: { runs: Run[] }) {
  const { state } = route.useSearch();
  const navigate = route.useNavigate();
  const shown = state ? runs.filter((run) => run.status === state) : runs;
  return (
    <Section
      title={state ? plural(shown.length, "run") : "All runs"}
      actions={
        <NativeSelect
          aria-label="Which runs"
          value={state ?? ""}
          onChange={(event) => {
            const next = event.currentTarget.value;
            void navigate({ search: next ? { state: next } : {} });
          }}
          data={[
            { value: "", label: "All states" },
            ...STATES.map((status) => ({ value: status, label: statusOf({ status }).label })),
          ]}
        />
      }
    >
      {shown.length > 0 ? <RunTable runs={shown} /> : <p>No run is in this state.</p>}
    </Section>
  );
}
