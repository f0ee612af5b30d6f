import type { Run } from "@/api/types";
import { Facts } from "@/components/ui/facts";
import { Tip } from "@/components/ui/tip";
import { isFinished } from "@/features/training/queries";
import { count, duration, durationRange, money, moneyRange } from "@/lib/format";
import { useNow } from "@/lib/use-now";

const HELD_OUT =
  "How surprised the model is by good answers that were never used for training. Engineers call it held-out loss; lower is better.";

function error(value: number | null): string {
  return value === null ? "—" : value.toFixed(3);
}

export function RunNumbers({ run, numExamples }: { run: Run; numExamples: number | null }) {
  const { estimate } = run;
  const now = useNow();
  const started = run.status === "running" ? run.started_at : null;
  const soFar = run.seconds ?? (started === null ? null : Math.max(0, now / 1000 - started));
  return (
    <Facts
      facts={[
        {
          label: <Tip label={HELD_OUT}>Error on unseen examples</Tip>,
          value: `${error(run.base_heldout_loss)} → ${error(run.tuned_heldout_loss)}`,
          note: "base model → your model",
        },
        {
          label: isFinished(run) ? "Cost" : "Cost so far",
          value: run.cost_usd === null ? "—" : money(run.cost_usd),
          note: estimate && `estimated ${moneyRange(estimate.cost_usd_low, estimate.cost_usd_high)}`,
        },
        {
          label: isFinished(run) ? "Time" : "Time so far",
          value: soFar === null ? "—" : duration(soFar),
          note: estimate && `estimated ${durationRange(estimate.seconds_low, estimate.seconds_high)}`,
        },
        {
          label: "Examples",
          value: numExamples === null ? "—" : count(numExamples),
          note: run.dataset_name,
        },
        {
          label: (
            <Tip label="Pieces of words. A short word is one, a long word two or three.">Tokens learned</Tip>
          ),
          value: run.trained_tokens === null ? "—" : count(run.trained_tokens),
        },
      ]}
    />
  );
}
