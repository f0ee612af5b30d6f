import { Button, CloseButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type KeyboardEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Row, RowChange } from "@/api/types";
import { tellFailure } from "@/components/ui/notices";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { RowView } from "@/features/datasets/components/row-view";
import { RowEditor } from "@/features/datasets/rows/row-editor";
import { RowLineage } from "@/features/datasets/rows/row-lineage";
import { rowQuery, type Draft } from "@/features/datasets/rows/row-queries";
import { TagForm } from "@/features/datasets/rows/selection-bar";
import { count, plural } from "@/lib/format";
import classes from "./row-panel.module.css";

interface RowPanelProps {
  datasetId: string;
  versionId: string;
  number: number;
  draft: Draft;
  canChange: boolean;
  onClose: () => void;
}

/** One example, all of it: what it says, what was found in it, where it comes from, and who learned it. */
export function RowPanel({ datasetId, versionId, number, draft, canChange, onClose }: RowPanelProps) {
  const row = useQuery(rowQuery(versionId, number));
  const [isEditing, setEditing] = useState(false);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    if (isEditing) setEditing(false);
    else onClose();
  };
  return (
    // Escape closes it from anywhere inside
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <aside className={classes.panel} aria-label={`Example ${number}`} onKeyDown={onKeyDown}>
      <header className={classes.header}>
        <h2>Example {count(number)}</h2>
        <CloseButton aria-label="Close the example" onClick={onClose} />
      </header>
      <QueryView query={row} what="this example" skeleton={<SkeletonLines count={6} height={24} />}>
        {(loaded) =>
          isEditing && canChange ? (
            <RowEditor
              key={`${versionId}.${number}`}
              datasetId={datasetId}
              versionId={versionId}
              row={loaded}
              draft={draft}
              onDone={() => setEditing(false)}
            />
          ) : (
            <Shown
              row={loaded}
              isStale={row.isPlaceholderData}
              draft={draft}
              canChange={canChange}
              onEdit={() => setEditing(true)}
            />
          )
        }
      </QueryView>
      <RowLineage versionId={versionId} number={number} />
    </aside>
  );
}

interface ShownProps {
  row: Row;
  isStale: boolean;
  draft: Draft;
  canChange: boolean;
  onEdit: () => void;
}

function Shown({ row, isStale, draft, canChange, onEdit }: ShownProps) {
  const change = (change: RowChange) => draft.change.mutate({ change }, { onError: tellFailure });
  const isBusy = draft.change.isPending || isStale;
  const numbers = [row.number];
  // what could not be read is no example: it is mended in the file, or by hand here
  const canBeExcluded = row.is_excluded || row.split !== "left_out";
  return (
    <div className={classes.shown} data-stale={isStale || undefined}>
      {canChange && (
        <div className={classes.actions}>
          <Button size="compact-sm" variant="default" disabled={isBusy} onClick={onEdit}>
            Edit
          </Button>
          {canBeExcluded && (
            <Button
              size="compact-sm"
              variant="default"
              disabled={isBusy}
              onClick={() => change({ type: row.is_excluded ? "include_rows" : "exclude_rows", numbers })}
            >
              {row.is_excluded ? "Take back in" : "Leave out"}
            </Button>
          )}
        </div>
      )}
      <p className={classes.facts}>{factsOf(row)}</p>
      <RowView row={row} showLearned={row.split === "train"} />
      {row.problems.map((problem) => (
        <p key={problem.code} className={classes.problem}>
          {problem.cause} {problem.fix}
        </p>
      ))}
      <section className={classes.tags} aria-label="Tags">
        {row.tags.map((tag) => (
          <span key={tag} className={classes.tag}>
            {tag}
            {canChange && (
              <CloseButton
                size="xs"
                aria-label={`Remove the tag ${tag}`}
                disabled={isBusy}
                onClick={() => change({ type: "untag_rows", numbers, tag })}
              />
            )}
          </span>
        ))}
        {canChange && <TagForm onTag={(tag) => change({ type: "tag_rows", numbers, tag })} />}
      </section>
      {draft.change.error && !isStale && (
        <p role="alert" className={classes.problem}>
          {messageOf(draft.change.error)}
        </p>
      )}
    </div>
  );
}

const SPLITS: Record<Row["split"], string> = {
  train: "Learned from",
  heldout: "Held back to check the result",
  left_out: "Not used",
};

function factsOf(row: Row): string {
  const facts = [
    row.is_excluded ? "Left out by somebody" : SPLITS[row.split],
    row.num_tokens > 0 ? plural(row.num_tokens, "token") : "length is counted when it is saved",
    row.is_edited ? "edited" : "",
  ];
  return facts.filter(Boolean).join(" · ");
}
