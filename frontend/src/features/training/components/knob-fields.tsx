import { NativeSelect, NumberInput } from "@mantine/core";
import type { Estimate } from "@/api/types";
import type { Knobs } from "@/features/training/queries";
import classes from "./knob-fields.module.css";
import marks from "./run-form.module.css";

interface KnobFieldsProps {
  knobs: Knobs;
  /** What the chosen recipe would use where nothing was set. */
  defaults: Estimate["hyperparameters"] | null;
  onChange: (knobs: Knobs) => void;
  /** Empty means as in the run that is copied, and what is set is marked. */
  isCopy?: boolean;
}

function without(knobs: Knobs, key: keyof Knobs): Knobs {
  return Object.fromEntries(Object.entries(knobs).filter(([name]) => name !== key));
}

/** For engineers: the knobs under their own names. Empty means what the chosen card would use. */
export function KnobFields({ knobs, defaults, onChange, isCopy = false }: KnobFieldsProps) {
  const set = (key: keyof Knobs, value: string | number) => {
    const rest = without(knobs, key);
    onChange(typeof value === "number" && value > 0 ? { ...rest, [key]: value } : rest);
  };
  const mark = (key: keyof Knobs) =>
    isCopy && knobs[key] !== undefined ? { className: marks.changed ?? "" } : {};
  return (
    <div className={classes.fields}>
      <NativeSelect
        label="Method"
        description="QLoRA keeps the base model in 4 bits"
        value={knobs.method ?? ""}
        onChange={(event) => {
          const rest = without(knobs, "method");
          const method = event.currentTarget.value;
          onChange(method === "lora" || method === "qlora" ? { ...rest, method } : rest);
        }}
        data={[
          {
            value: "",
            label:
              isCopy && defaults
                ? `As before (${defaults.method})`
                : `Automatic${defaults ? ` (${defaults.method})` : ""}`,
          },
          { value: "lora", label: "LoRA" },
          { value: "qlora", label: "QLoRA" },
        ]}
        {...mark("method")}
      />
      <NumberInput
        label="Rank"
        description="Width of the adapter, 1–256"
        placeholder={defaults ? String(defaults.rank) : "auto"}
        min={1}
        max={256}
        allowDecimal={false}
        value={knobs.rank ?? ""}
        onChange={(value) => set("rank", value)}
        {...mark("rank")}
      />
      <NumberInput
        label="Epochs"
        description="Times every example is seen, 1–50"
        placeholder={defaults ? String(defaults.n_epochs) : "auto"}
        min={1}
        max={50}
        allowDecimal={false}
        value={knobs.epochs ?? ""}
        onChange={(value) => set("epochs", value)}
        {...mark("epochs")}
      />
      <NumberInput
        label="Learning-rate multiplier"
        description="Scales the recipe's learning rate"
        placeholder="1"
        min={0.01}
        max={100}
        step={0.1}
        value={knobs.learningRateMultiplier ?? ""}
        onChange={(value) => set("learningRateMultiplier", value)}
        {...mark("learningRateMultiplier")}
      />
      <NumberInput
        label="Batch size"
        description="Examples learned from in one step"
        placeholder={defaults ? String(defaults.batch_size) : "auto"}
        min={1}
        max={256}
        allowDecimal={false}
        value={knobs.batchSize ?? ""}
        onChange={(value) => set("batchSize", value)}
        {...mark("batchSize")}
      />
    </div>
  );
}
