import { Button } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useImperativeHandle, useState, type KeyboardEvent, type Ref } from "react";
import type { Row, RowOrder } from "@/api/types";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Failure } from "@/components/ui/states";
import { TableRow } from "@/features/datasets/rows/table-row";
import { useRowCount, useRows } from "@/features/datasets/rows/use-rows";
import { useScrollWindow } from "@/features/datasets/rows/use-scroll-window";
import type { RowsWanted } from "@/features/datasets/rows/wanted";
import { count as formatCount, plural } from "@/lib/format";
import classes from "./rows-table.module.css";

const LINE_PX = 56;
const CARD_PX = 136;
const HEAD_PX = 36;
/** Where the columns have no room beside each other. */
const NARROW_PX = 640;

export interface TableHandle {
  /** Shows the row at a place of the list and makes it the one that keys act on. */
  goTo: (index: number) => void;
  focus: () => void;
}

interface RowsTableProps {
  versionId: string;
  wanted: RowsWanted;
  /** The number of the example that is open beside the table. */
  openNumber: number | null;
  chosen: ReadonlySet<number>;
  canChange: boolean;
  handle: Ref<TableHandle>;
  onOpen: (row: Row | null) => void;
  onChoose: (rows: Row[], isChosen: boolean) => void;
  onOrder: (order: RowOrder) => void;
  onUndo: () => void;
  onSearch: () => void;
  onShowAll: () => void;
  onTotal: (total: number | null) => void;
}

/** Any number of examples, of which only those in sight are drawn. */
export function RowsTable(props: RowsTableProps) {
  const { versionId, wanted, openNumber, chosen, canChange, onOpen, onChoose } = props;
  const { ref: sizeRef, width } = useElementSize<HTMLDivElement>();
  const isNarrow = width > 0 && width < NARROW_PX;
  const rowHeight = isNarrow ? CARD_PX : LINE_PX;
  const { ref: box, ...view } = useScrollWindow(
    useRowCount(versionId, wanted),
    rowHeight,
    isNarrow ? 0 : HEAD_PX,
  );
  const rows = useRows(versionId, wanted, view);
  const [active, setActive] = useState(0);
  const [anchor, setAnchor] = useState(0);
  const { onTotal } = props;
  useEffect(() => onTotal(rows.total), [onTotal, rows.total]);

  const goTo = (index: number) => {
    const place = Math.max(0, Math.min(index, rows.count - 1));
    setActive(place);
    view.show(place);
    return rows.at(place);
  };
  useImperativeHandle(props.handle, () => ({
    goTo: (index) => {
      goTo(index);
      setAnchor(index);
    },
    focus: () => box.current?.focus({ preventScroll: true }),
  }));

  const between = (from: number, to: number) => {
    const found: Row[] = [];
    for (let index = Math.min(from, to); index <= Math.max(from, to); index++) {
      const row = rows.at(index);
      if (row) found.push(row);
    }
    return found;
  };
  const choose = (index: number, isRange: boolean) => {
    const row = rows.at(index);
    if (!row) return;
    if (isRange) onChoose(between(anchor, index), true);
    else onChoose([row], !chosen.has(row.number));
    setAnchor(index);
    setActive(index);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const action = actionOf(event, { active, page: view.page, last: rows.count - 1 });
    if (action === null) return;
    event.preventDefault();
    if (typeof action === "number") {
      const row = goTo(action);
      if (event.shiftKey && canChange) onChoose(between(active, action), true);
      else setAnchor(action);
      if (openNumber !== null && row) onOpen(row);
    } else if (action === "open") onOpen(rows.at(active) ?? null);
    else if (action === "close") onOpen(null);
    else if (action === "search") props.onSearch();
    else if (canChange && action === "choose") choose(active, event.shiftKey);
    else if (canChange && action === "undo") props.onUndo();
  };

  const isEmpty = !rows.isPending && !rows.error && rows.count === 0;
  const shown = Array.from({ length: Math.max(0, view.last - view.first + 1) }, (_, n) => view.first + n);
  return (
    <div className={classes.table} ref={sizeRef} data-narrow={isNarrow || undefined}>
      {rows.error !== null && rows.error !== undefined && (
        <Failure error={rows.error} what="the examples" onRetry={rows.retry} />
      )}
      {isEmpty && <NothingHere wanted={wanted} onShowAll={props.onShowAll} />}
      <div
        ref={box}
        className={classes.scroller}
        role="grid"
        tabIndex={0}
        hidden={isEmpty || (Boolean(rows.error) && rows.count === 0)}
        aria-label="Examples"
        aria-rowcount={rows.total === null ? -1 : rows.total + 1}
        aria-busy={rows.isPending}
        {...(rows.at(active) ? { "aria-activedescendant": `row-${active}` } : {})}
        onScroll={view.onScroll}
        onKeyDown={onKeyDown}
      >
        <Head isNarrow={isNarrow} order={wanted.order ?? "number"} onOrder={props.onOrder} />
        {rows.isPending && (
          <div role="row">
            <div role="gridcell">
              <div role="status" aria-label={wanted.q ? "Loading what was found" : "Loading the examples"}>
                <SkeletonLines count={8} height={40} />
              </div>
            </div>
          </div>
        )}
        <div role="rowgroup" className={classes.canvas} style={{ height: view.canvas }}>
          {shown.map((index) => (
            <TableRow
              key={index}
              index={index}
              row={rows.at(index)}
              top={view.top(index)}
              height={rowHeight}
              q={wanted.q}
              isActive={index === active}
              isOpen={openNumber !== null && rows.at(index)?.number === openNumber}
              isChosen={chosen.has(rows.at(index)?.number ?? -1)}
              canChange={canChange}
              onOpen={(row) => {
                setActive(index);
                setAnchor(index);
                onOpen(row);
              }}
              onChoose={(isRange) => choose(index, isRange)}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

interface At {
  active: number;
  page: number;
  last: number;
}

type Action = number | "open" | "close" | "search" | "choose" | "undo" | null;

/** What a key does: a place to go to, or something to do there. */
function actionOf(event: KeyboardEvent, { active, page, last }: At): Action {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") return "undo";
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  switch (event.key) {
    case "ArrowDown":
      return active + 1;
    case "ArrowUp":
      return active - 1;
    case "PageDown":
      return active + page;
    case "PageUp":
      return active - page;
    case "Home":
      return 0;
    case "End":
      return last;
    case "Enter":
      return "open";
    case "Escape":
      return "close";
    case "/":
      return "search";
    case " ":
      return "choose";
    default:
      return null;
  }
}

interface HeadProps {
  isNarrow: boolean;
  order: RowOrder;
  onOrder: (order: RowOrder) => void;
}

function Head({ isNarrow, order, onOrder }: HeadProps) {
  const sortable = (title: string, by: "number" | "num_tokens") => {
    const isDown = order === `-${by}`;
    const isUsed = order === by || isDown;
    return (
      <div role="columnheader" aria-sort={isUsed ? (isDown ? "descending" : "ascending") : "none"}>
        <button type="button" tabIndex={-1} onClick={() => onOrder(order === by ? `-${by}` : by)}>
          {title}
          <span aria-hidden="true">{isUsed ? (isDown ? " ↓" : " ↑") : ""}</span>
        </button>
      </div>
    );
  };
  return (
    <div role="row" aria-rowindex={1} className={classes.head} hidden={isNarrow}>
      <div role="columnheader">
        <span className="visually-hidden">Chosen</span>
      </div>
      {sortable("No.", "number")}
      <div role="columnheader">Example</div>
      <div role="columnheader">Answer</div>
      <div role="columnheader">State</div>
      {sortable("Length", "num_tokens")}
    </div>
  );
}

function NothingHere({ wanted, onShowAll }: { wanted: RowsWanted; onShowAll: () => void }) {
  return (
    <Empty
      title={wanted.q ? `Nothing contains “${wanted.q}”` : "No example is like that"}
      action={
        <Button variant="default" onClick={onShowAll}>
          Show all examples
        </Button>
      }
    >
      {wanted.q ? "The words are looked for as you typed them, in any case." : "Choose others above."}
    </Empty>
  );
}

/** How many there are, in the words of the line above the table. */
export function totalWords(total: number | null, wanted: RowsWanted, numFound: number): string {
  if (total === null) return wanted.q ? `${formatCount(numFound)} and more` : "";
  return plural(total, "example");
}
