import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { RowFilter } from "@/api/types";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Failure } from "@/components/ui/states";
import { RowView } from "@/features/datasets/components/row-view";
import { rowsQuery } from "@/features/datasets/queries";
import { count } from "@/lib/format";
import classes from "./row-list.module.css";

const FILTERS: { value: RowFilter; label: string }[] = [
  { value: "all", label: "All" },
  { value: "problems", label: "Problems" },
  { value: "heldout", label: "Held back" },
];

const NOTHING: Record<RowFilter, string> = {
  all: "No example matches.",
  problems: "No example here has a problem.",
  train: "No example here is learned from.",
  heldout: "No example here is held back.",
  left_out: "No example here is left out.",
  excluded: "Nobody left an example out.",
  edited: "Nobody edited an example.",
};

const TYPING_MS = 300;

interface RowListProps {
  versionId: string;
  filter: RowFilter;
  search: string;
  /** The code of a finding whose rows alone are shown; empty for all. */
  finding: string;
  onChange: (change: { filter: RowFilter; search: string; finding?: string }) => void;
}

/** The examples, as what they are. Filter and search live in the address, so that a view can be sent to someone. */
export function RowList({ versionId, filter, search, finding, onChange }: RowListProps) {
  const [typed, setTyped] = useState(search);
  const [settled] = useDebouncedValue(typed, TYPING_MS);
  const rows = useInfiniteQuery(rowsQuery(versionId, filter, search, finding));
  useEffect(() => {
    if (settled !== search) onChange({ filter, search: settled, finding });
    // The address follows the settled words; it must not answer its own change.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [settled]);
  const shown = rows.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <Section
      title="Examples"
      actions={
        <>
          {finding && (
            <Button size="compact-sm" variant="default" onClick={() => onChange({ filter, search })}>
              Show all examples again
            </Button>
          )}
          <TextInput
            aria-label="Search the examples"
            placeholder="Search"
            type="search"
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
          <SegmentedControl
            aria-label="Which examples"
            size="xs"
            data={FILTERS}
            value={filter}
            onChange={(value) => onChange({ filter: value as RowFilter, search })}
          />
        </>
      }
    >
      {rows.isPending ? (
        <div role="status" aria-label="Loading the examples">
          <SkeletonLines count={6} height={40} />
        </div>
      ) : rows.error && shown.length === 0 ? (
        <Failure error={rows.error} what="the examples" onRetry={() => void rows.refetch()} />
      ) : shown.length === 0 ? (
        <p>{search ? `Nothing contains “${search}”.` : NOTHING[filter]}</p>
      ) : (
        <ol className={classes.rows} data-stale={rows.isPlaceholderData || undefined}>
          {shown.map((row) => (
            <li key={row.id}>
              <span className={classes.number}>{count(row.number)}</span>
              <div className={classes.body}>
                <RowView row={row} showLearned={row.split === "train"} />
                {row.split === "heldout" && <p className={classes.note}>Held back to check the result.</p>}
                {row.problems.map((problem) => (
                  <p key={problem.code} className={classes.problem}>
                    {problem.cause} {problem.fix}
                  </p>
                ))}
              </div>
            </li>
          ))}
        </ol>
      )}
      {rows.hasNextPage && (
        <div>
          <Button
            variant="default"
            onClick={() => void rows.fetchNextPage()}
            loading={rows.isFetchingNextPage}
          >
            Show more
          </Button>
        </div>
      )}
    </Section>
  );
}
