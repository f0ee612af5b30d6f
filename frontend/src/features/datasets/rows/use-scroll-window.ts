import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { LongScroll } from "@/features/datasets/rows/long-scroll";

const OVERSCAN = 6;
const REST_MS = 150;
/** Before anything is laid out. */
const UNKNOWN_HEIGHT_PX = 600;
/** No window is higher; a box that grew with its contents would have all rows drawn. */
const TALLEST_PX = 5000;

export interface ScrollWindow {
  ref: React.RefObject<HTMLDivElement | null>;
  onScroll: () => void;
  /** How high what scrolls is. */
  canvas: number;
  /** The first and the last row to draw; the last is below the first where there is none. */
  first: number;
  last: number;
  /** How many rows fit. */
  page: number;
  /** Where a row lies on the canvas. */
  top: (index: number) => number;
  /** Moves as little as it takes to show the row, or puts it at the top. */
  show: (index: number, where?: "near" | "top") => void;
}

interface Place {
  /** What is at the upper edge, in pixels of the list. */
  top: number;
  /** How much further down the list it is than the canvas. */
  shift: number;
}

/**
 * Draws the few rows of a list that can be seen, below a head that stays; all are of one height. Scrolling is exact in a
 * list of any length.
 */
export function useScrollWindow(count: number, rowHeight: number, headHeight: number): ScrollWindow {
  const ref = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState<Place>({ top: 0, shift: 0 });
  const [height, setHeight] = useState(0);
  const last = useRef(0);
  const rest = useRef<number | undefined>(undefined);
  const scroll = useMemo(() => new LongScroll(count * rowHeight), [count, rowHeight]);

  useLayoutEffect(() => {
    const box = ref.current;
    if (!box) return;
    const measure = () => setHeight(Math.min(Math.max(0, box.clientHeight - headHeight), TALLEST_PX));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    return () => {
      observer.disconnect();
      window.clearTimeout(rest.current);
    };
  }, [headHeight]);

  const moveTo = (listTop: number) => {
    const box = ref.current;
    if (!box) return;
    const canvasTop = scroll.toCanvas(listTop);
    // both before the browser draws again, so that nothing is seen to move
    flushSync(() => setPlace({ top: listTop, shift: listTop - canvasTop }));
    last.current = canvasTop;
    box.scrollTop = canvasTop;
  };

  const onScroll = () => {
    const box = ref.current;
    if (!box) return;
    const canvasTop = box.scrollTop;
    if (canvasTop === last.current) return;
    // a wheel and a finger move by pixels of the list; who drags the scroll bar moves through all of it
    const isNear = Math.abs(canvasTop - last.current) < box.clientHeight;
    const listTop = isNear ? canvasTop + place.shift : scroll.toList(canvasTop);
    last.current = canvasTop;
    setPlace({ top: listTop, shift: listTop - canvasTop });
    window.clearTimeout(rest.current);
    if (scroll.isLong) rest.current = window.setTimeout(() => moveTo(listTop), REST_MS);
  };

  // rows of another height, or a shorter list: the place that was looked at would lie elsewhere
  const before = useRef({ rowHeight, count });
  useEffect(() => {
    const was = before.current;
    before.current = { rowHeight, count };
    if (was.rowHeight !== rowHeight) moveTo((place.top / was.rowHeight) * rowHeight);
    // only a changed height moves
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [rowHeight, count]);

  const shown = height || UNKNOWN_HEIGHT_PX;
  const show: ScrollWindow["show"] = (index, where = "near") => {
    const top = index * rowHeight;
    const highest = Math.max(0, count * rowHeight - shown);
    if (where === "top" || top < place.top) moveTo(Math.min(top, highest));
    else if (top + rowHeight > place.top + shown) moveTo(Math.max(0, top + rowHeight - shown));
  };
  return {
    ref,
    onScroll,
    canvas: scroll.canvas,
    first: Math.max(0, Math.floor(place.top / rowHeight) - OVERSCAN),
    last: Math.min(count - 1, Math.ceil((place.top + shown) / rowHeight) + OVERSCAN),
    page: Math.max(1, Math.floor(shown / rowHeight) - 1),
    top: (index) => index * rowHeight - place.shift,
    show,
  };
}
