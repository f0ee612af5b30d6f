import { useQuery } from "@tanstack/react-query";
import type { DatasetVersion } from "@/api/types";
import { onePassQuery } from "@/features/datasets/version-queries";
import { count, durationRange, moneyRange } from "@/lib/format";

/** What one pass over the examples costs; nothing where no machine here could do it, which the training page explains. */
export function OnePass({ version }: { version: DatasetVersion }) {
  const reply = useQuery(onePassQuery(version)).data;
  const estimate = reply?.estimates[0];
  if (!estimate) return null;
  return (
    <p>
      {count(version.num_tokens)} tokens, as the model counts pieces of words. Learning from all of them once
      takes {durationRange(estimate.seconds_low, estimate.seconds_high)} and costs{" "}
      {moneyRange(estimate.cost_usd_low, estimate.cost_usd_high)}; a training run goes over them several
      times.
    </p>
  );
}
