import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { rowLineageQuery } from "@/features/datasets/rows/row-queries";
import { count } from "@/lib/format";
import classes from "./row-panel.module.css";

/** Where an example comes from and what was made of it. It is told last, and its absence hides nothing. */
export function RowLineage({ versionId, number }: { versionId: string; number: number }) {
  const lineage = useQuery(rowLineageQuery(versionId, number));
  const found = lineage.data;
  if (lineage.error)
    return <p className={classes.lineage}>Where it comes from could not be found out just now.</p>;
  if (!found) return null;
  const versions = found.versions.map((version) => count(version.number));
  return (
    <section className={classes.lineage} aria-label="Where it comes from">
      <p>
        Row {count(found.number)} of {found.filename}
        {versions.length > 0 &&
          `, as it is here in ${versions.length === 1 ? "version" : "versions"} ${versions.join(", ")}`}
        .
      </p>
      {found.runs.length === 0 ? (
        <p>No model has learned it so.</p>
      ) : (
        <p>
          Learned by{" "}
          {found.runs.map((run, index) => (
            <span key={run.id}>
              {index > 0 && ", "}
              <Link to="/train/$runId" params={{ runId: run.id }}>
                {run.model ?? run.name ?? run.id}
              </Link>
            </span>
          ))}
          .
        </p>
      )}
    </section>
  );
}
