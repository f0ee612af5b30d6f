import { NativeSelect } from "@mantine/core";
import type { Estimate, Run } from "@/api/types";
import { NumberKnob, type NumberKnobProps } from "@/features/training/components/number-knob";
import { turned, type LoopKnobs } from "@/features/training/knobs";
import classes from "./knob-fields.module.css";
import marks from "./run-form.module.css";

interface LoopFieldsProps {
  knobs: LoopKnobs;
  defaults: Estimate["hyperparameters"] | null;
  /** What the run had that is copied. */
  used: Run["training"] | null;
  isCopy: boolean;
  onChange: (knobs: LoopKnobs) => void;
}

type NumberName = Exclude<keyof LoopKnobs, "schedule" | "optimizer">;

const NUMBERS: Record<
  NumberName,
  Pick<NumberKnobProps, "label" | "description" | "min" | "max" | "step" | "isWhole">
> = {
  learning_rate: {
    label: "Learning rate",
    description: "Its peak; instead of a multiplier",
    min: 0.0000001,
    max: 0.1,
    step: 0.0001,
    isWhole: false,
  },
  warmup_ratio: {
    label: "Warm-up",
    description: "Share of the steps in which it rises",
    min: 0,
    max: 0.99,
    step: 0.01,
    isWhole: false,
  },
  max_length_tokens: {
    label: "Longest example",
    description: "In tokens; the rest is cut off",
    min: 8,
    max: 131072,
  },
  max_seen_tokens: { label: "Most tokens", description: "Learning ends when it has seen as many", min: 1 },
  weight_decay: {
    label: "Weight decay",
    description: "Decoupled, 0–1",
    min: 0,
    max: 1,
    step: 0.01,
    isWhole: false,
  },
  max_grad_norm: {
    label: "Gradient norm",
    description: "Gradients are scaled down to it",
    min: 0.001,
    max: 100,
    step: 0.1,
    isWhole: false,
  },
  eval_every_steps: {
    label: "Measure every",
    description: "Steps between two held-out measurements",
    min: 1,
  },
  max_heldout_rows: {
    label: "Held-out examples",
    description: "Measured each time, 1–5,000",
    min: 1,
    max: 5000,
  },
  early_stopping_patience: {
    label: "Patience",
    description: "Measurements without a better one",
    min: 1,
  },
};

const SCHEDULES = { cosine: "Cosine", linear: "Linear", constant: "Constant" } as const;
const OPTIMIZERS = {
  adamw: "AdamW",
  adamw_8bit: "AdamW, 8 bits (GPU)",
  paged_adamw_8bit: "AdamW, 8 bits, paged (GPU)",
} as const;

/** Every number of the training loop, under its own name. */
export function LoopFields({ knobs, defaults, used, isCopy, onChange }: LoopFieldsProps) {
  const set = (name: keyof LoopKnobs, value: unknown) => onChange(turned(knobs, name, value));
  const mark = (name: keyof LoopKnobs) => isCopy && knobs[name] !== undefined && knobs[name] !== null;
  const known = (used ?? defaults ?? {}) as Partial<Record<string, number | string | null>>;
  const choice = (
    name: "schedule" | "optimizer",
    label: string,
    description: string,
    labels: Record<string, string>,
  ) => (
    <NativeSelect
      label={label}
      description={description}
      value={knobs[name] ?? ""}
      onChange={(event) => set(name, event.currentTarget.value || undefined)}
      data={[
        {
          value: "",
          label: `${isCopy ? "As before" : "Automatic"}${known[name] ? ` (${known[name]})` : ""}`,
        },
        ...Object.entries(labels).map(([value, text]) => ({ value, label: text })),
      ]}
      {...(mark(name) ? { className: marks.changed ?? "" } : {})}
    />
  );
  return (
    <div className={classes.fields}>
      {(Object.keys(NUMBERS) as NumberName[]).map((name) => (
        <NumberKnob
          key={name}
          {...NUMBERS[name]}
          value={knobs[name]}
          placeholder={known[name]}
          isMarked={mark(name)}
          onChange={(value) => set(name, value)}
        />
      ))}
      {choice("schedule", "Schedule", "How the rate falls after warm-up", SCHEDULES)}
      {choice("optimizer", "Optimizer", "The 8-bit ones save memory on a GPU", OPTIMIZERS)}
    </div>
  );
}
