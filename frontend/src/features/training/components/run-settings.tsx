import type { Run } from "@/api/types";
import { Facts, type Fact } from "@/components/ui/facts";
import { Tip } from "@/components/ui/tip";
import { ADAPTERS, METHODS } from "@/features/training/components/methods";
import { hyperparametersOf, isAdapterType } from "@/features/training/knobs";
import classes from "./run-settings.module.css";

function shown(value: unknown): string | null {
  return typeof value === "number" || typeof value === "string" ? String(value) : null;
}

function facts(values: Record<string, unknown>): Fact[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const text = shown(value);
    return text === null ? [] : [{ label: name.replaceAll("_", " "), value: text }];
  });
}

/** For engineers: what the run learns from, how it changes the base, and every number that was settled. */
export function RunSettings({ run }: { run: Run }) {
  const { type, ...adapter } = run.adapter;
  const how = METHODS[run.method.type];
  const base = isAdapterType(type) ? ADAPTERS[type] : null;
  return (
    <details className={classes.settings}>
      <summary>How it learns, in numbers</summary>
      <p>
        <Tip label={how.tip}>{how.label}</Tip>
        {base && (
          <>
            {" · "}
            <Tip label={base.tip}>{base.word}</Tip>
          </>
        )}
      </p>
      <Facts facts={facts({ ...hyperparametersOf(run), ...adapter, ...run.training, seed: run.seed })} />
    </details>
  );
}
