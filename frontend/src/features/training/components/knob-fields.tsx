import { NativeSelect } from "@mantine/core";
import type { Estimate, MethodType, RowKind, Run } from "@/api/types";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { Tip } from "@/components/ui/tip";
import { AdapterFields } from "@/features/training/components/adapter-fields";
import { LoopFields } from "@/features/training/components/loop-fields";
import { METHODS } from "@/features/training/components/methods";
import { NumberKnob } from "@/features/training/components/number-knob";
import {
  adapterFor,
  methodFor,
  METHODS_OF,
  turned,
  type Hyperparameters,
  type Knobs,
} from "@/features/training/knobs";
import classes from "./knob-fields.module.css";
import marks from "./run-form.module.css";

interface KnobFieldsProps {
  knobs: Knobs;
  /** What the chosen examples hold. */
  kind: RowKind;
  /** What the chosen recipe would use where nothing was set. */
  defaults: Estimate["hyperparameters"] | null;
  onChange: (knobs: Knobs) => void;
  /** The run that is copied: empty means as in it, and what is set is marked. */
  copied?: Run | null;
}

/** For engineers: the knobs under their own names. Empty means what the chosen card would use. */
export function KnobFields({ knobs, kind, defaults, onChange, copied = null }: KnobFieldsProps) {
  const isCopy = copied !== null;
  const method = methodFor(kind, knobs, copied);
  const adapter = adapterFor(knobs, copied);
  const numbers = knobs.hyperparameters ?? {};
  const number = (name: keyof Hyperparameters) => ({
    value: numbers[name],
    isMarked: isCopy && numbers[name] !== undefined,
    onChange: (value: number | undefined) =>
      onChange({ ...knobs, hyperparameters: turned(numbers, name, value) }),
  });
  return (
    <>
      <MethodField {...{ knobs, kind, method, isCopy, onChange }} />
      <div className={classes.fields}>
        <NumberKnob
          label="Epochs"
          description="Times every example is seen, 1–50"
          placeholder={defaults?.n_epochs}
          min={1}
          max={50}
          {...number("n_epochs")}
        />
        <NumberKnob
          label="Learning-rate multiplier"
          description="Scales the recipe's learning rate"
          placeholder={1}
          min={0.01}
          max={100}
          step={0.1}
          isWhole={false}
          {...number("learning_rate_multiplier")}
        />
        <NumberKnob
          label="Batch size"
          description="Examples learned from in one step"
          placeholder={defaults?.batch_size}
          min={1}
          max={256}
          {...number("batch_size")}
        />
        {kind === "preference" && (
          <NumberKnob
            label="Beta"
            description={method === "dpo" ? "How near the base model it stays" : "Weight of the preference"}
            min={0.01}
            max={10}
            step={0.05}
            isWhole={false}
            {...number("beta")}
          />
        )}
        {method === "dpo" && (
          <NumberKnob
            label="Label smoothing"
            description="Share of pairs the wrong way round"
            min={0}
            max={0.49}
            step={0.05}
            isWhole={false}
            {...number("label_smoothing")}
          />
        )}
      </div>
      <AdapterFields
        knobs={knobs.adapter ?? {}}
        type={adapter}
        defaults={defaults}
        used={copied !== null && copied.adapter.type === adapter ? copied.adapter : null}
        isCopy={isCopy}
        onChange={(changed) => onChange({ ...knobs, adapter: changed })}
      />
      <details className={classes.more}>
        <summary>Every number of the training loop</summary>
        <LoopFields
          knobs={knobs.training ?? {}}
          defaults={defaults}
          used={copied?.training ?? null}
          isCopy={isCopy}
          onChange={(training) => onChange({ ...knobs, training })}
        />
      </details>
    </>
  );
}

interface MethodFieldProps extends Pick<KnobFieldsProps, "knobs" | "kind" | "onChange"> {
  method: MethodType;
  isCopy: boolean;
}

/** What it learns from: the examples decide, and only preferences leave a choice. */
function MethodField({ knobs, kind, method, isCopy, onChange }: MethodFieldProps) {
  const choices = METHODS_OF[kind];
  const words = METHODS[method];
  const word = <Tip label={words.tip}>What engineers call it</Tip>;
  if (choices.length === 1) {
    return (
      <p className={classes.learns}>
        Learns from: <strong>{ROW_KINDS[kind].label.toLowerCase()}</strong>. {ROW_KINDS[kind].learned} {word}
      </p>
    );
  }
  return (
    <div className={classes.lead}>
      <NativeSelect
        label="Learns from"
        description={words.sentence}
        value={method}
        onChange={(event) => onChange({ ...knobs, method: event.currentTarget.value as MethodType })}
        data={choices.map((choice) => ({ value: choice, label: METHODS[choice].label }))}
        {...(isCopy && knobs.method !== undefined ? { className: marks.changed ?? "" } : {})}
      />
      <p>{word}</p>
    </div>
  );
}
