import { Button } from "@mantine/core";
import { useCallback, useEffect, useRef, useState, type ReactNode } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { download, toCsv } from "@/lib/download";
import classes from "./loss-chart.module.css";

export interface LossPoint {
  step: number;
  train: number | null;
  heldOut: number | null;
}

/** Points that come while one watches. They are read when something is drawn, and cost nothing in between. */
export interface LiveTail {
  subscribe: (listener: () => void) => () => void;
  read: () => readonly LossPoint[];
}

export type StepRange = readonly [from: number, to: number];

interface LossChartProps {
  points: readonly LossPoint[];
  tail: LiveTail;
  /** The part that is shown; null for all of it. */
  range: StepRange | null;
  onRange: (range: StepRange | null) => void;
  /** Told once the chart knows how wide it is, in steps large enough that a dragged window asks rarely. */
  onWidth: (pixels: number) => void;
  /** Used for the names of the downloaded files. */
  name: string;
  note?: ReactNode;
}

const HEIGHT = 280;
const TRAIN = "Examples it learns from";
const HELD_OUT = "Examples it has not seen";

const WIDTH_STEP = 200;
const MIN_DRAG = 8;
const LAST_PART = 0.1;
const DASHES = [5, 4];
const DENSE = 500;
/** Fewer steps than this are seen at a glance. */
const MANY_STEPS = 100;
/** There is no half step to label. */
const WHOLE_STEPS = Array.from({ length: 8 }, (_, power) => [1, 2, 5].map((one) => one * 10 ** power)).flat();

function joined(
  points: readonly LossPoint[],
  tail: readonly LossPoint[],
  range: StepRange | null,
): LossPoint[] {
  const last = points.at(-1)?.step ?? -Infinity;
  const newer = tail.filter((point) => point.step > last && (!range || point.step <= range[1]));
  const same = tail.find((point) => point.step === last);
  const known = same ? [...points.slice(0, -1), same] : points;
  return [...known, ...newer];
}

function columns(points: LossPoint[]): UPlot.AlignedData {
  return [points.map((p) => p.step), points.map((p) => p.train), points.map((p) => p.heldOut)];
}

/** So many dashes that they would be dots are drawn as a fine line; the other line stays the thick one. */
function thin(plot: UPlot, numPoints: number): void {
  const train = plot.series[1];
  if (!train) return;
  const isDense = numPoints > DENSE;
  train.dash = isDense ? [] : DASHES;
  train.width = isDense ? 0.75 : 1.5;
}

interface Zoom {
  current: () => StepRange | null;
  choose: (range: StepRange) => void;
}

function options(width: number, root: HTMLElement, zoom: Zoom): UPlot.Options {
  const style = getComputedStyle(root);
  const color = (token: string) => style.getPropertyValue(token).trim();
  const font = `12px ${style.fontFamily}`;
  const axis = {
    stroke: color("--ink-faint"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font,
    labelFont: font,
    labelSize: 20,
  };
  const value = (_: UPlot, raw: number | null) => (raw === null ? "—" : raw.toFixed(3));
  return {
    width,
    height: HEIGHT,
    scales: {
      x: {
        time: false,
        range: (_, min, max) => {
          const [from, to] = zoom.current() ?? [min, max];
          return [from, to];
        },
      },
    },
    legend: { live: true },
    cursor: { y: false, points: { size: 7 }, drag: { x: true, y: false, setScale: false } },
    hooks: {
      setSelect: [
        (plot) => {
          const { left, width: dragged } = plot.select;
          if (dragged < MIN_DRAG) return;
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          zoom.choose([Math.floor(plot.posToVal(left, "x")), Math.ceil(plot.posToVal(left + dragged, "x"))]);
        },
      ],
    },
    axes: [
      { ...axis, label: "Step", grid: { show: false }, size: 28, incrs: WHOLE_STEPS },
      { ...axis, label: "Error (lower is better)", size: 46 },
    ],
    series: [
      { label: "Step" },
      // Dashes against a solid line: told apart without colour.
      {
        label: TRAIN,
        stroke: color("--ink-faint"),
        width: 1.5,
        dash: DASHES,
        spanGaps: true,
        points: { show: false },
        value,
      },
      {
        label: HELD_OUT,
        stroke: color("--accent"),
        width: 2.5,
        spanGaps: true,
        points: { show: true, size: 6 },
        value,
      },
    ],
  };
}

export function LossChart({ points, tail, range, onRange, onWidth, name, note }: LossChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<UPlot | null>(null);
  const now = useRef({ points, range, onRange, onWidth });
  const [reach, setReach] = useState({ count: points.length, last: points.at(-1)?.step ?? 0 });

  const fill = useCallback(() => {
    const all = joined(now.current.points, tail.read(), now.current.range);
    if (chart.current) thin(chart.current, all.length);
    chart.current?.setData(columns(all));
    setReach({ count: all.length, last: all.at(-1)?.step ?? 0 });
  }, [tail]);

  const draw = useCallback(() => {
    const element = holder.current;
    if (!element) return;
    chart.current?.destroy();
    const width = element.clientWidth || 600;
    now.current.onWidth(Math.ceil(width / WIDTH_STEP) * WIDTH_STEP);
    const zoom = { current: () => now.current.range, choose: (part: StepRange) => now.current.onRange(part) };
    const all = joined(now.current.points, tail.read(), now.current.range);
    chart.current = new UPlot(options(width, element, zoom), columns(all), element);
    thin(chart.current, all.length);
  }, [tail]);

  useEffect(() => {
    draw();
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    const observer = new ResizeObserver(([entry]) => {
      if (!entry || entry.contentRect.width <= 0) return;
      chart.current?.setSize({ width: entry.contentRect.width, height: HEIGHT });
      now.current.onWidth(Math.ceil(entry.contentRect.width / WIDTH_STEP) * WIDTH_STEP);
    });
    if (holder.current) observer.observe(holder.current);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", draw);
      chart.current?.destroy();
      chart.current = null;
    };
  }, [draw]);

  useEffect(() => {
    now.current = { points, range, onRange, onWidth };
  }, [points, range, onRange, onWidth]);
  useEffect(fill, [fill, points, range]);

  // However many points arrive between two frames, they are drawn once.
  useEffect(() => {
    let frame = 0;
    const stop = tail.subscribe(() => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        fill();
      });
    });
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, [tail, fill]);

  const savePng = () => {
    const canvas = holder.current?.querySelector("canvas");
    canvas?.toBlob((blob) => blob && download(`${name}.png`, blob));
  };
  const saveCsv = () =>
    download(
      `${name}.csv`,
      toCsv(
        ["step", "train_loss", "valid_loss"],
        joined(points, tail.read(), range).map((p) => [p.step, p.train, p.heldOut]),
      ),
    );
  return (
    <figure className={classes.figure}>
      <div
        ref={holder}
        className={classes.chart}
        role="img"
        aria-label={`Error by step, ${reach.count} points, up to step ${reach.last}. The CSV file holds the numbers.`}
        onDoubleClick={() => onRange(null)}
      />
      <figcaption className={classes.actions}>
        <span className={classes.note}>{note}</span>
        {range ? (
          <Button size="compact-xs" variant="default" onClick={() => onRange(null)}>
            Show the whole run
          </Button>
        ) : reach.last < MANY_STEPS ? null : (
          <Button
            size="compact-xs"
            variant="subtle"
            onClick={() => onRange([Math.floor(reach.last * (1 - LAST_PART)), reach.last])}
          >
            Show the last tenth
          </Button>
        )}
        <Button size="compact-xs" variant="subtle" onClick={savePng}>
          Download PNG
        </Button>
        <Button size="compact-xs" variant="subtle" onClick={saveCsv}>
          Download CSV
        </Button>
      </figcaption>
    </figure>
  );
}
