import { Checkbox, Skeleton } from "@mantine/core";
import type { MouseEvent } from "react";
import type { Row } from "@/api/types";
import { excerpt, partsOf } from "@/features/datasets/rows/content";
import { count } from "@/lib/format";
import classes from "./table-row.module.css";

interface TableRowProps {
  index: number;
  /** Absent until it is fetched. */
  row: Row | undefined;
  top: number;
  height: number;
  q: string | undefined;
  isActive: boolean;
  isOpen: boolean;
  isChosen: boolean;
  canChange: boolean;
  onOpen: (row: Row) => void;
  onChoose: (isRange: boolean) => void;
}

/** One example as a line; where there is no room for columns, as a card. */
export function TableRow({
  index,
  row,
  top,
  height,
  q,
  canChange,
  onOpen,
  onChoose,
  ...state
}: TableRowProps) {
  const place = { transform: `translateY(${top}px)`, height };
  if (!row) {
    return (
      <div role="row" aria-rowindex={index + 2} className={classes.row} style={place}>
        <div role="gridcell" className={classes.waiting}>
          <Skeleton height={12} width="70%" />
        </div>
      </div>
    );
  }
  const [asked, answer] = partsOf(row);
  const isChecked = state.isChosen;
  return (
    // keys are the grid's: the row that is active has no focus of its own
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
    <div
      role="row"
      id={`row-${index}`}
      aria-rowindex={index + 2}
      aria-selected={isChecked}
      className={classes.row}
      style={place}
      data-active={state.isActive || undefined}
      data-open={state.isOpen || undefined}
      data-out={row.split === "left_out" || undefined}
      onClick={() => onOpen(row)}
    >
      <div role="gridcell" className={classes.check}>
        {canChange && (
          <Checkbox
            size="xs"
            tabIndex={-1}
            aria-label={`Choose example ${row.number}`}
            checked={isChecked}
            readOnly
            onClick={(event: MouseEvent) => {
              event.stopPropagation();
              onChoose(event.shiftKey);
            }}
          />
        )}
      </div>
      <div role="gridcell" className={classes.number}>
        {count(row.number)}
      </div>
      <div role="gridcell" className={classes.asked} data-wide={answer === null || undefined}>
        <Words text={asked} q={q} />
      </div>
      {answer !== null && (
        <div role="gridcell" className={classes.answer}>
          <Words text={answer} q={q} />
        </div>
      )}
      <div role="gridcell" className={classes.state}>
        <State row={row} />
      </div>
      <div role="gridcell" className={classes.length}>
        {row.num_tokens > 0 ? count(row.num_tokens) : <abbr title="Counted when it is saved">–</abbr>}
      </div>
    </div>
  );
}

function Words({ text, q }: { text: string; q: string | undefined }) {
  const shown = excerpt(text, q);
  if (shown === "") return <em>empty</em>;
  const at = q ? shown.toLowerCase().indexOf(q.toLowerCase()) : -1;
  if (!q || at < 0) return <span>{shown}</span>;
  return (
    <span>
      {shown.slice(0, at)}
      <mark>{shown.slice(at, at + q.length)}</mark>
      {shown.slice(at + q.length)}
    </span>
  );
}

/** What is to be known of an example before it is opened. */
function State({ row }: { row: Row }) {
  const words = [
    row.is_excluded ? "Left out" : row.split === "left_out" ? "Cannot be used" : null,
    row.split === "heldout" ? "Held back" : null,
    row.is_edited ? "Edited" : null,
  ].filter((word) => word !== null);
  return (
    <>
      {words.map((word) => (
        <span key={word} className={classes.word}>
          {word}
        </span>
      ))}
      {row.problems.length > 0 && (
        <span className={classes.problem} title={row.problems.map((problem) => problem.cause).join(" ")}>
          {row.problems.length === 1 ? "1 problem" : `${row.problems.length} problems`}
        </span>
      )}
      {row.tags.map((tag) => (
        <span key={tag} className={classes.tag}>
          {tag}
        </span>
      ))}
    </>
  );
}
