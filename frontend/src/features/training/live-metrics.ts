import type { Metric } from "@/api/types";

type Listener = () => void;

/** So many points are drawn from the stream before the server is asked for a thinned chart again. */
const ENOUGH = 1500;

/**
 * What the stream told of a run since the chart was fetched. It lives outside of React: only who listens is drawn anew,
 * so that a run with a hundred thousand steps leaves the page at rest.
 */
export class LiveMetrics {
  private points = new Map<number, Metric>();
  private from = 0;
  private listeners = new Set<Listener>();
  private checked: readonly Metric[] | null = null;
  private sorted: readonly Metric[] | null = null;

  /** Points come again after a reconnection: the step decides, and the newer word wins. */
  add(metrics: Metric[]): void {
    let isNews = false;
    let isCheck = false;
    for (const metric of metrics) {
      if (metric.step < this.from) continue;
      this.points.set(metric.step, { ...this.points.get(metric.step), ...metric });
      isNews = true;
      isCheck ||= heldOutOf(metric) !== null;
    }
    if (isNews) this.tell(isCheck);
  }

  /** The chart as fetched reaches this far; what is older is known already. */
  startAt(step: number): void {
    if (step <= this.from) return;
    this.from = step;
    const older = [...this.points.keys()].filter((known) => known < step);
    if (older.length === 0) return;
    older.forEach((known) => this.points.delete(known));
    this.tell(true);
  }

  hasPoints = (): boolean => this.points.size > 0;

  isFull = (): boolean => this.points.size > ENOUGH;

  subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** In the order of their steps. The same list until there is news. */
  read = (): readonly Metric[] => {
    this.sorted ??= [...this.points.values()].sort((a, b) => a.step - b.step);
    return this.sorted;
  };

  /** Only the looks at unseen examples, which are few. The same list until there is another. */
  checks = (): readonly Metric[] => {
    this.checked ??= this.read().filter((metric) => heldOutOf(metric) !== null);
    return this.checked;
  };

  private tell(isCheck: boolean): void {
    this.sorted = null;
    if (isCheck) this.checked = null;
    this.listeners.forEach((listener) => listener());
  }
}

export function heldOutOf(metric: Metric): number | null {
  return metric.full_valid_loss ?? metric.valid_loss ?? null;
}
