import { NativeSelect, TextInput } from "@mantine/core";
import type { AdapterType, Estimate, Run } from "@/api/types";
import { Tip } from "@/components/ui/tip";
import { adapterLabel, ADAPTERS } from "@/features/training/components/methods";
import { NumberKnob, type NumberKnobProps } from "@/features/training/components/number-knob";
import { ADAPTER_KNOBS, isAdapterType, turned, type AdapterKnobs } from "@/features/training/knobs";
import classes from "./knob-fields.module.css";
import marks from "./run-form.module.css";

interface AdapterFieldsProps {
  knobs: AdapterKnobs;
  /** How the base is changed if nothing is chosen here. */
  type: AdapterType;
  defaults: Estimate["hyperparameters"] | null;
  /** What the run had that is copied, if it changed its base in the same way. */
  used: Run["adapter"] | null;
  isCopy: boolean;
  onChange: (knobs: AdapterKnobs) => void;
}

type NumberName =
  "rank" | "alpha" | "dropout" | "num_virtual_tokens" | "learning_rate_ratio" | "num_iterations";

const NUMBERS: Record<
  NumberName,
  Pick<NumberKnobProps, "label" | "description" | "min" | "max" | "step" | "isWhole">
> = {
  rank: { label: "Rank", description: "Width of the adapter, 1–256", min: 1, max: 256 },
  alpha: { label: "Alpha", description: "Its scale; alpha / rank multiplies it", min: 1, max: 1024 },
  dropout: {
    label: "Dropout",
    description: "Share of its inputs dropped while learning",
    min: 0,
    max: 0.99,
    step: 0.05,
    isWhole: false,
  },
  num_virtual_tokens: { label: "Virtual tokens", description: "Learned vectors, 1–512", min: 1, max: 512 },
  learning_rate_ratio: {
    label: "Learning-rate ratio",
    description: "Rate of B over rate of A, 1–64",
    min: 1,
    max: 64,
    isWhole: false,
  },
  num_iterations: {
    label: "Iterations",
    description: "Of the singular value decomposition, 2–64",
    min: 2,
    max: 64,
  },
};

const TARGETS = { "all-linear": "Every linear layer", attention: "Attention only", mlp: "MLP only" } as const;

/** How the base model is changed, and what that way alone can be told. */
export function AdapterFields({ knobs, type, defaults, used, isCopy, onChange }: AdapterFieldsProps) {
  const own = ADAPTER_KNOBS[type];
  const set = (name: keyof AdapterKnobs, value: unknown) => onChange(turned(knobs, name, value));
  const mark = (name: keyof AdapterKnobs) => isCopy && knobs[name] !== undefined && knobs[name] !== null;
  const marked = (name: keyof AdapterKnobs) => (mark(name) ? { className: marks.changed ?? "" } : {});
  const planned = defaults && isAdapterType(defaults.method) ? ` (${ADAPTERS[defaults.method].word})` : "";
  const known: Partial<Record<NumberName, number | null>> = used ?? defaults ?? {};
  return (
    <>
      <div className={classes.lead}>
        <NativeSelect
          label="Method"
          description={ADAPTERS[type].sentence}
          value={knobs.type ?? ""}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            set("type", isAdapterType(chosen) ? chosen : undefined);
          }}
          data={[
            { value: "", label: isCopy ? `As before${planned}` : `Automatic${planned}` },
            ...(Object.keys(ADAPTERS) as AdapterType[])
              .filter((value) => isCopy || value !== "auto")
              .map((value) => ({ value, label: adapterLabel(value) })),
          ]}
          {...marked("type")}
        />
        <p>
          <Tip label={ADAPTERS[type].tip}>What engineers call it</Tip>
        </p>
      </div>
      <div className={classes.fields}>
        {(Object.keys(NUMBERS) as NumberName[])
          .filter((name) => own.includes(name))
          .map((name) => (
            <NumberKnob
              key={name}
              {...NUMBERS[name]}
              {...(type === "pissa" && name === "rank"
                ? { description: "Width of the adapter, 1–128", max: 128 }
                : {})}
              value={knobs[name]}
              placeholder={known[name]}
              isMarked={mark(name)}
              onChange={(value) => set(name, value)}
            />
          ))}
        {own.includes("target_modules") && (
          <NativeSelect
            label="Layers"
            description="Which of the base model's layers learn"
            value={knobs.target_modules ?? ""}
            onChange={(event) => set("target_modules", event.currentTarget.value || undefined)}
            data={[
              { value: "", label: isCopy ? "As before" : "Automatic" },
              ...Object.entries(TARGETS).map(([value, label]) => ({ value, label })),
            ]}
            {...marked("target_modules")}
          />
        )}
        {own.includes("quantization") && (
          <NativeSelect
            label="Base model in memory"
            description="NF4 is 4 bits a weight, a quarter"
            value={knobs.quantization ?? ""}
            onChange={(event) => set("quantization", event.currentTarget.value || undefined)}
            data={[
              { value: "", label: isCopy ? "As before" : "Automatic" },
              { value: "none", label: "Whole" },
              { value: "nf4", label: "4 bits (NF4)" },
            ]}
            {...marked("quantization")}
          />
        )}
        {own.includes("init_text") && (
          <TextInput
            label="Starts from these words"
            description="Empty: words drawn at random"
            value={knobs.init_text ?? ""}
            maxLength={4000}
            onChange={(event) => set("init_text", event.currentTarget.value || undefined)}
            {...marked("init_text")}
          />
        )}
      </div>
    </>
  );
}
