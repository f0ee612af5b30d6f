import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { PastVersion } from "@/api/types";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { TimeAgo } from "@/components/ui/time-ago";
import { historyQuery, learnersQuery } from "@/features/datasets/version-queries";
import classes from "./version-list.module.css";

/** Every model that learned from these examples, whichever version of them. */
export function LearnerList({ datasetId }: { datasetId: string }) {
  const learners = useQuery(learnersQuery(datasetId));
  const history = useQuery(historyQuery(datasetId));
  return (
    <Section title="Who learned from these">
      <QueryView query={learners} what="the models" skeleton={<SkeletonLines count={2} height={40} />}>
        {(loaded) =>
          loaded.data.length === 0 ? (
            <p>No model has learned from these examples yet.</p>
          ) : (
            <ul className={classes.versions}>
              {loaded.data.map((run) => (
                <li key={run.id}>
                  <Link to="/train/$runId" params={{ runId: run.id }}>
                    {run.model ?? run.name ?? run.id}
                  </Link>
                  <span className={classes.who}>
                    {versionWord(history.data?.data, run.version_id)}, <TimeAgo at={run.created_at} />
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </QueryView>
    </Section>
  );
}

function versionWord(versions: PastVersion[] | undefined, id: string): string {
  const found = versions?.find((version) => version.id === id);
  return found ? `Version ${found.number}` : "To check its result";
}
