import { NativeSelect } from "@mantine/core";
import type { Mapping } from "@/api/types";
import classes from "./mapping-fields.module.css";

interface MappingFieldsProps {
  columns: string[];
  mapping: Partial<Mapping>;
  onChange: (mapping: Partial<Mapping>) => void;
  isDisabled?: boolean;
}

/** Which column is asked and which is answered; one click changes either. */
export function MappingFields({ columns, mapping, onChange, isDisabled = false }: MappingFieldsProps) {
  return (
    <div className={classes.fields}>
      <NativeSelect
        label="The question is in"
        data={withPrompt(columns, mapping.question)}
        value={mapping.question ?? ""}
        disabled={isDisabled}
        onChange={(event) => onChange({ ...mapping, question: event.currentTarget.value })}
      />
      <NativeSelect
        label="The good answer is in"
        data={withPrompt(columns, mapping.answer)}
        value={mapping.answer ?? ""}
        disabled={isDisabled}
        onChange={(event) => onChange({ ...mapping, answer: event.currentTarget.value })}
      />
      <NativeSelect
        label="Instructions (optional)"
        data={[{ value: "", label: "None" }, ...columns.map((name) => ({ value: name, label: name }))]}
        value={mapping.system ?? ""}
        disabled={isDisabled}
        onChange={(event) => onChange({ ...mapping, system: event.currentTarget.value || null })}
      />
    </div>
  );
}

function withPrompt(columns: string[], chosen: string | undefined) {
  const options = columns.map((name) => ({ value: name, label: name }));
  return chosen ? options : [{ value: "", label: "Choose a column" }, ...options];
}

/** The mapping, once it says enough to be used. */
export function completeMapping(mapping: Partial<Mapping>): Mapping | null {
  if (!mapping.question || !mapping.answer || mapping.question === mapping.answer) return null;
  return { question: mapping.question, answer: mapping.answer, system: mapping.system ?? null };
}
