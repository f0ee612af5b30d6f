import type { Run } from "@/api/types";
import { Facts } from "@/components/ui/facts";
import { Tip } from "@/components/ui/tip";
import { isFinished } from "@/features/training/queries";
import { count, duration, durationRange, money, moneyRange } from "@/lib/format";

const HELD_OUT =
  "How surprised the model is by good answers that were never used for training. Engineers call it held-out loss; lower is better.";

function error(value: number | null): string {
  return value === null ? "—" : value.toFixed(3);
}

export function RunNumbers({ run, numExamples }: { run: Run; numExamples: number | null }) {
  const { estimate } = run;
  const hasRange = estimate?.cost_usd_low !== undefined && estimate.cost_usd_high !== undefined;
  const hasTime = estimate?.seconds_low !== undefined && estimate.seconds_high !== undefined;
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
          note:
            hasRange && `estimated ${moneyRange(estimate.cost_usd_low ?? 0, estimate.cost_usd_high ?? 0)}`,
        },
        {
          label: "Time",
          value: run.seconds === null ? "—" : duration(run.seconds),
          note:
            hasTime && `estimated ${durationRange(estimate.seconds_low ?? 0, estimate.seconds_high ?? 0)}`,
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
