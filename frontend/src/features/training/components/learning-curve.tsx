import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import type { Metric, Run } from "@/api/types";
import { LossChart, type LiveTail, type LossPoint, type StepRange } from "@/components/charts/loss-chart";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { verdict } from "@/features/training/components/verdict";
import { runName } from "@/features/training/components/wording";
import { heldOutOf, type LiveMetrics } from "@/features/training/live-metrics";
import { isFinished, keys, metricsQuery } from "@/features/training/queries";
import { count } from "@/lib/format";

const FIRST_GUESS = 1200;
const CHART_HEIGHT = 318;

function toPoint(metric: Metric): LossPoint {
  return { step: metric.step, train: metric.train_loss ?? null, heldOut: heldOutOf(metric) };
}

/** One point a step: what was learned and what was checked at it come as two rows. */
function toPoints(metrics: readonly Metric[]): LossPoint[] {
  const points: LossPoint[] = [];
  for (const point of metrics.map(toPoint)) {
    const before = points.at(-1);
    if (before?.step === point.step) {
      before.train ??= point.train;
      before.heldOut ??= point.heldOut;
    } else points.push(point);
  }
  return points;
}

/** Maps each list of the stream once, so that reading it again is free. */
function tailOf(live: LiveMetrics): LiveTail {
  let from: readonly Metric[] = [];
  let points: readonly LossPoint[] = [];
  return {
    subscribe: live.subscribe,
    read: () => {
      const next = live.read();
      if (next !== from) [from, points] = [next, next.map(toPoint)];
      return points;
    },
  };
}

/** The chart of a run: thinned by the server to what the screen can show, in detail where one looks closer. */
export function LearningCurve({ run, live }: { run: Run; live: LiveMetrics }) {
  const client = useQueryClient();
  const [width, setWidth] = useState(FIRST_GUESS);
  const [range, setRange] = useState<StepRange | null>(null);
  const whole = useQuery(metricsQuery(run.id, { maxPoints: width }));
  const part = useQuery({
    ...metricsQuery(run.id, { maxPoints: width, ...(range ? { from: range[0], to: range[1] } : {}) }),
    enabled: range !== null,
  });
  const tail = useMemo(() => tailOf(live), [live]);
  const checks = useSyncExternalStore(live.subscribe, live.checks);
  const hasNews = useSyncExternalStore(live.subscribe, live.hasPoints);
  const isFull = useSyncExternalStore(live.subscribe, live.isFull);
  const shown = range && part.data ? part.data : whole.data;
  const points = useMemo(() => toPoints(shown?.data ?? []), [shown]);

  useEffect(() => {
    const last = whole.data?.data.at(-1);
    if (last && !whole.isPlaceholderData) live.startAt(last.step);
  }, [live, whole.data, whole.isPlaceholderData]);
  useEffect(() => {
    if (isFull) void client.invalidateQueries({ queryKey: keys.metrics(run.id) });
  }, [client, isFull, run.id]);

  // Of a run that broke off nothing is said about how well it went.
  const isBroken = run.status === "failed" || run.status === "cancelled";
  const fetched = whole.data?.data ?? [];
  const last = fetched.at(-1)?.step ?? -1;
  const known = [...fetched, ...checks.filter((metric) => metric.step > last)];
  const thinned = shown?.is_downsampled
    ? `${count(shown.data.length)} of ${count(shown.num_steps)} points. Drag over a part to see all of it.`
    : "Drag over a part to look closer.";
  return (
    <Section
      title="How well it learns"
      lead={isBroken || known.length === 0 ? null : verdict(known, isFinished(run))}
    >
      <QueryView query={whole} what="the chart" skeleton={<SkeletonLines count={1} height={CHART_HEIGHT} />}>
        {(reply) =>
          reply.data.length > 0 || hasNews ? (
            <LossChart
              points={points}
              tail={tail}
              range={range}
              onRange={setRange}
              onWidth={setWidth}
              name={runName(run)}
              note={thinned}
            />
          ) : (
            <p>
              {isFinished(run)
                ? "This run was over before there was anything to draw."
                : "The chart begins with the first step."}
            </p>
          )
        }
      </QueryView>
    </Section>
  );
}
