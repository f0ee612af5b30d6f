import type { ReactNode } from "react";
import classes from "./facts.module.css";

export interface Fact {
  label: ReactNode;
  value: ReactNode;
  note?: ReactNode;
}

/** Numbers that belong together, each with its name and unit. */
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl className={classes.facts}>
      {facts.map((fact, index) => (
        <div key={index}>
          <dt>{fact.label}</dt>
          <dd>
            {fact.value}
            {fact.note && <small>{fact.note}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
