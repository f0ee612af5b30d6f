import { Button } from "@mantine/core";
import { useCallback, useEffect, useRef } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { download, toCsv } from "@/lib/download";
import classes from "./loss-chart.module.css";

export interface LossPoint {
  step: number;
  train: number | null;
  heldOut: number | null;
}

interface LossChartProps {
  points: LossPoint[];
  /** Used for the names of the downloaded files. */
  name: string;
}

const HEIGHT = 280;
const TRAIN = "Examples it learns from";
const HELD_OUT = "Examples it has not seen";

function columns(points: LossPoint[]): UPlot.AlignedData {
  return [points.map((p) => p.step), points.map((p) => p.train), points.map((p) => p.heldOut)];
}

function options(width: number, root: HTMLElement): UPlot.Options {
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
    scales: { x: { time: false } },
    legend: { live: true },
    cursor: { y: false, points: { size: 7 } },
    axes: [
      { ...axis, label: "Step", grid: { show: false }, size: 28 },
      { ...axis, label: "Error (lower is better)", size: 46 },
    ],
    series: [
      { label: "Step" },
      // Dashes against a solid line: told apart without colour.
      {
        label: TRAIN,
        stroke: color("--ink-faint"),
        width: 1.5,
        dash: [5, 4],
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

export function LossChart({ points, name }: LossChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<UPlot | null>(null);
  const latest = useRef(points);

  const draw = useCallback(() => {
    const element = holder.current;
    if (!element) return;
    chart.current?.destroy();
    chart.current = new UPlot(options(element.clientWidth || 600, element), columns(latest.current), element);
  }, []);

  useEffect(() => {
    draw();
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    const observer = new ResizeObserver(([entry]) => {
      if (entry && entry.contentRect.width > 0)
        chart.current?.setSize({ width: entry.contentRect.width, height: HEIGHT });
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
    latest.current = points;
    chart.current?.setData(columns(points));
  }, [points]);

  const savePng = () => {
    const canvas = holder.current?.querySelector("canvas");
    canvas?.toBlob((blob) => blob && download(`${name}.png`, blob));
  };
  const saveCsv = () =>
    download(
      `${name}.csv`,
      toCsv(
        ["step", "train_loss", "valid_loss"],
        points.map((p) => [p.step, p.train, p.heldOut]),
      ),
    );
  const last = points.at(-1);
  return (
    <figure className={classes.figure}>
      <div
        ref={holder}
        className={classes.chart}
        role="img"
        aria-label={`Error by step, ${points.length} points${last ? `, up to step ${last.step}` : ""}. The CSV file holds the numbers.`}
      />
      <div className={classes.actions}>
        <Button size="compact-xs" variant="subtle" onClick={savePng}>
          Download PNG
        </Button>
        <Button size="compact-xs" variant="subtle" onClick={saveCsv}>
          Download CSV
        </Button>
      </div>
    </figure>
  );
}
