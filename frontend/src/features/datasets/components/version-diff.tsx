import { useQuery } from "@tanstack/react-query";
import type { VersionDiff as Diff } from "@/api/types";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { RowView } from "@/features/datasets/components/row-view";
import { countWords, kindWord } from "@/features/datasets/components/version-words";
import { diffQuery } from "@/features/datasets/version-queries";
import { count, plural } from "@/lib/format";
import classes from "./version-diff.module.css";

interface VersionDiffProps {
  versionId: string;
  before: string;
}

/** Each example that differs, as it was and as it is. */
export function VersionDiff({ versionId, before }: VersionDiffProps) {
  const diff = useQuery(diffQuery(versionId, before));
  return (
    <QueryView query={diff} what="what changed" skeleton={<SkeletonLines count={4} height={56} />}>
      {(loaded) => <Differences diff={loaded} />}
    </QueryView>
  );
}

function Differences({ diff }: { diff: Diff }) {
  const total = Object.values(diff.counts).reduce((sum, number) => sum + number, 0);
  return (
    <>
      <p>{countWords(diff.counts)}</p>
      <ol className={classes.rows}>
        {diff.data.map((row) => {
          const isEdited = row.kind === "edited";
          return (
            <li key={row.id}>
              <p className={classes.place}>
                Example {count(row.number)}, {kindWord(row.kind)}
              </p>
              <div className={classes.sides} data-two={isEdited || undefined}>
                {row.before && (isEdited || row.kind === "removed") && (
                  <div data-side="before">
                    <p className={classes.side}>Before</p>
                    <RowView row={row.before} />
                  </div>
                )}
                {row.after && (
                  <div data-side="after">
                    {isEdited && <p className={classes.side}>Now</p>}
                    <RowView row={row.after} />
                  </div>
                )}
              </div>
            </li>
          );
        })}
      </ol>
      {diff.has_more && <p>and {plural(total - diff.data.length, "more example")}</p>}
    </>
  );
}
