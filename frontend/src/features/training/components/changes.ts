import type { CloneRun, Run } from "@/api/types";
import { exactTime, money } from "@/lib/format";

/** One changed setting of a run, in the words of its field. */
export interface Change {
  name: string;
  before: string | null;
  after: string;
}

function leaves(changes: object, into = new Map<string, unknown>()): Map<string, unknown> {
  for (const [key, value] of Object.entries(changes) as [string, unknown][]) {
    if (value !== null && typeof value === "object") leaves(value, into);
    else into.set(key, value);
  }
  return into;
}

/** 0.0002 as an engineer writes it: 2e-4. */
function rate(value: number): string {
  return value
    .toExponential()
    .replace(/e([+-])(\d+)$/, (_, sign: string, digits: string) => `e${sign === "-" ? "-" : ""}${digits}`);
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

type Describe = (value: unknown, run: Run) => Change;

function plain(name: string, before: (run: Run) => string | number | null): Describe {
  return (value, run) => {
    const was = before(run);
    return { name, before: was === null ? null : String(was), after: String(value) };
  };
}

const FIELDS: Record<string, Describe> = {
  learning_rate_multiplier: (value, run) => {
    const was = number(run.hyperparameters.learning_rate_multiplier) ?? 1;
    const next = number(value) ?? 1;
    if (run.learning_rate === null)
      return { name: "learning-rate multiplier", before: String(was), after: String(next) };
    return {
      name: "learning rate",
      before: rate(run.learning_rate),
      after: rate((run.learning_rate * next) / was),
    };
  },
  n_epochs: plain("epochs", (run) => run.hyperparameters.n_epochs),
  batch_size: plain("batch size", (run) => run.hyperparameters.batch_size),
  rank: plain("rank", (run) => run.adapter.rank),
  type: plain("method", (run) => run.adapter.type),
  max_length_tokens: plain("longest example, in tokens", (run) => run.max_length_tokens),
  model: plain("base model", (run) => run.model),
  recipe: plain("recipe", (run) => run.recipe),
  max_cost_usd: (value, run) => ({
    name: "spending limit",
    before: run.max_cost_usd === null ? null : money(run.max_cost_usd),
    after: typeof value === "number" ? money(value) : "none",
  }),
  priority: plain("priority", (run) => run.priority),
  start_after: (value) => ({
    name: "start",
    before: null,
    after: typeof value === "number" ? exactTime(value) : "now",
  }),
};

/** What a copy of a run would do differently, one line a setting. */
export function changesOf(run: Run, changes: CloneRun | Record<string, unknown>): Change[] {
  return (
    [...leaves(changes)]
      // `method.type` says only that the training is supervised.
      .filter(([key, value]) => !(key === "type" && value === "supervised"))
      .map(
        ([key, value]) =>
          FIELDS[key]?.(value, run) ?? { name: key.replaceAll("_", " "), before: null, after: String(value) },
      )
      .filter((change) => change.before !== change.after)
  );
}
