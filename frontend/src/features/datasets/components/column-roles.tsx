import { Button } from "@mantine/core";
import { useState } from "react";
import type { ColumnRole } from "@/api/types";
import {
  assign,
  roleOf,
  WAYS,
  type Column,
  type Draft,
  type Way,
} from "@/features/datasets/components/mapping";
import { plural } from "@/lib/format";
import classes from "./column-roles.module.css";

interface ColumnRolesProps {
  columns: Column[];
  way: Way;
  draft: Draft;
  onChange: (draft: Draft) => void;
}

const MANY = 8;

/** Every column with a few of its values, and the part it plays; one click changes it. */
export function ColumnRoles({ columns, way, draft, onChange }: ColumnRolesProps) {
  const [isAll, setAll] = useState(columns.length <= MANY);
  const plays = (column: Column) => roleOf(draft, way, column.name) !== null;
  const shown = isAll ? columns : columns.filter((column, index) => plays(column) || index < MANY);
  return (
    <div className={classes.columns}>
      {shown.map((column) => (
        <ColumnRow
          key={column.name}
          column={column}
          way={way}
          role={roleOf(draft, way, column.name)}
          onChange={(role) => onChange(assign(draft, way, column.name, role))}
        />
      ))}
      {!isAll && shown.length < columns.length && (
        <Button variant="subtle" size="compact-sm" onClick={() => setAll(true)}>
          Show {plural(columns.length - shown.length, "more column")}
        </Button>
      )}
    </div>
  );
}

interface ColumnRowProps {
  column: Column;
  way: Way;
  role: ColumnRole | null;
  onChange: (role: ColumnRole | null) => void;
}

function ColumnRow({ column, way, role, onChange }: ColumnRowProps) {
  const choices = [...WAYS[way].roles, { role: null, label: "Not used", hint: undefined }];
  const hint = choices.find((choice) => choice.role === role)?.hint;
  return (
    <fieldset className={classes.column} data-used={role !== null || undefined}>
      <legend className="visually-hidden">Column {column.name}</legend>
      <div className={classes.about}>
        <strong>{column.name}</strong>
        <ul className={classes.values}>
          {column.sample_values.map((value, index) => (
            <li key={index}>{value}</li>
          ))}
          {column.sample_values.length === 0 && <li>empty in the first rows</li>}
        </ul>
      </div>
      <div className={classes.choices}>
        {choices.map((choice) => (
          <label key={choice.label} className={classes.choice} title={choice.hint}>
            <input
              type="radio"
              name={`part of ${column.name}`}
              checked={role === choice.role}
              onChange={() => onChange(choice.role)}
            />
            <span>{choice.label}</span>
          </label>
        ))}
        {hint && <small className={classes.hint}>{hint}</small>}
      </div>
    </fieldset>
  );
}
