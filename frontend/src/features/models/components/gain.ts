import type { Model } from "@/api/types";
import { percent } from "@/lib/format";

const NOTICEABLE = 0.01;

/** What training changed, in a few words; null where nothing was measured. */
export function gainOf(model: Pick<Model, "base_heldout_loss" | "tuned_heldout_loss">): string | null {
  const { base_heldout_loss: before, tuned_heldout_loss: after } = model;
  if (before === null || after === null || before <= 0) return null;
  const gain = 1 - after / before;
  if (gain > NOTICEABLE) return `${percent(gain)} better`;
  return gain < -NOTICEABLE ? `${percent(-gain)} worse` : "no change";
}
