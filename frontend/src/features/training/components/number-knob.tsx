import { NumberInput } from "@mantine/core";
import { useState } from "react";
import marks from "./run-form.module.css";

export interface NumberKnobProps {
  label: string;
  description: string;
  value: number | null | undefined;
  /** What would be used if it is left empty. */
  placeholder?: number | string | null | undefined;
  min: number;
  max?: number;
  step?: number;
  isWhole?: boolean;
  isMarked?: boolean;
  onChange: (value: number | undefined) => void;
}

function meant(typed: number | string): number | undefined {
  const number = typed === "" ? NaN : Number(typed);
  return Number.isFinite(number) ? number : undefined;
}

/** A number that is left to the recipe while the field is empty. */
export function NumberKnob({
  value,
  placeholder,
  min,
  max,
  step = 1,
  isWhole = true,
  isMarked = false,
  onChange,
  ...words
}: NumberKnobProps) {
  // "0." is on its way to 0.2: what is typed stands, as long as it means the value.
  const [typed, setTyped] = useState<number | string>("");
  return (
    <NumberInput
      {...words}
      value={meant(typed) === (value ?? undefined) ? typed : (value ?? "")}
      placeholder={String(placeholder ?? "auto")}
      min={min}
      {...(max === undefined ? {} : { max })}
      step={step}
      allowDecimal={!isWhole}
      onChange={(next) => {
        setTyped(next);
        onChange(meant(next));
      }}
      {...(isMarked ? { className: marks.changed ?? "" } : {})}
    />
  );
}
