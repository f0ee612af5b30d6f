import type { Metric, Run } from "@/api/types";
import { heldOutOf } from "@/features/training/live-metrics";

const WINDOW = 3;
const NOTICEABLE = 0.01;

/** The chart in one sentence. It speaks only of examples that were never trained on. */
export function verdict(metrics: Metric[], isDone: boolean): string {
  const values = metrics.map(heldOutOf).filter((value) => value !== null);
  const first = values[0];
  const last = values.at(-1);
  if (first === undefined || last === undefined || values.length < 2) {
    return isDone
      ? "There were too few checks to say more."
      : "The first check on examples it has not seen comes soon.";
  }
  const lowest = Math.min(...values);
  const gotBetter = lowest < first * (1 - NOTICEABLE);
  const gotWorse = last > lowest * (1 + 3 * NOTICEABLE);
  if (gotWorse && gotBetter) {
    // what ships is the best of the checks, so that the end alone would tell of another model
    return isDone
      ? "It got better on examples it has not seen, then began to learn yours by heart. Your model is kept from its best moment; more examples may help."
      : "It has begun to learn your examples by heart. The best point so far is kept in mind.";
  }
  if (gotBetter) {
    if (isDone) return "It got better on examples it has not seen.";
    const change = last - (values.slice(-WINDOW)[0] ?? last);
    return change < -first * NOTICEABLE * 0.5
      ? "It is getting better on examples it has not seen."
      : "It got better on examples it has not seen, and is now levelling off.";
  }
  if (isDone)
    return "It did not get better on examples it has not seen. More, or more varied, examples usually help.";
  return gotWorse
    ? "So far it gets no better on examples it has not seen."
    : "No change yet on examples it has not seen.";
}

/** How much of the surprise at held-out answers is gone, as a fraction; null when it was not measured. */
export function improvement(run: Pick<Run, "base_heldout_loss" | "tuned_heldout_loss">): number | null {
  if (run.base_heldout_loss === null || run.tuned_heldout_loss === null || run.base_heldout_loss <= 0)
    return null;
  return 1 - run.tuned_heldout_loss / run.base_heldout_loss;
}
