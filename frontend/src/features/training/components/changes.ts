import type { CloneRun, Run } from "@/api/types";
import { hyperparametersOf } from "@/features/training/knobs";
import { exactTime, money } from "@/lib/format";

/** One changed setting of a run, in the words of its field. */
export interface Change {
  name: string;
  before: string | null;
  after: string;
}

/** Every setting by its path: "adapter.rank", "method.dpo.hyperparameters.beta". */
function leaves(changes: object, path = "", into = new Map<string, unknown>()): Map<string, unknown> {
  for (const [key, value] of Object.entries(changes) as [string, unknown][]) {
    const place = path ? `${path}.${key}` : key;
    if (value !== null && typeof value === "object") leaves(value, place, into);
    else into.set(place, value);
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
    const was = number(hyperparametersOf(run).learning_rate_multiplier) ?? 1;
    const next = number(value) ?? 1;
    if (run.learning_rate === null)
      return { name: "learning-rate multiplier", before: String(was), after: String(next) };
    return {
      name: "learning rate",
      before: rate(run.learning_rate),
      after: rate((run.learning_rate * next) / was),
    };
  },
  learning_rate: (value, run) => ({
    name: "learning rate",
    before: run.learning_rate === null ? null : rate(run.learning_rate),
    after: typeof value === "number" ? rate(value) : "the recipe's",
  }),
  n_epochs: plain("epochs", (run) => hyperparametersOf(run).n_epochs ?? null),
  batch_size: plain("batch size", (run) => hyperparametersOf(run).batch_size ?? null),
  beta: plain("beta", (run) => hyperparametersOf(run).beta ?? null),
  label_smoothing: plain("label smoothing", (run) => hyperparametersOf(run).label_smoothing ?? null),
  "adapter.type": plain("method", (run) => run.adapter.type),
  "method.type": plain("learns from", (run) => run.method.type),
  max_length_tokens: plain("longest example, in tokens", (run) => run.max_length_tokens),
  model: plain("base model", (run) => run.model),
  validation_dataset_version_id: (value, run) => ({
    name: "checked with",
    before: run.validation_dataset_version_id ? "other examples" : "a part held back",
    after: value === null ? "a part held back" : "the examples that you chose",
  }),
  // said with the one above
  validation_file: () => ({ name: "checked with", before: "", after: "" }),
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

/** A setting of one of the groups, as the run had it. */
function before(path: string, run: Run): string | null {
  const [group, name] = path.split(".");
  const source = group === "adapter" ? run.adapter : group === "training" ? run.training : null;
  const value = (source as Record<string, unknown> | null)?.[name ?? ""];
  return typeof value === "number" || typeof value === "string" ? String(value) : null;
}

/** What a copy of a run would do differently, one line a setting. */
export function changesOf(run: Run, changes: CloneRun | Record<string, unknown>): Change[] {
  return [...leaves(changes)]
    .map(([path, value]) => {
      const name = path.split(".").at(-1) ?? path;
      const describe = FIELDS[path] ?? FIELDS[name];
      return (
        describe?.(value, run) ?? {
          name: name.replaceAll("_", " "),
          before: before(path, run),
          after: String(value),
        }
      );
    })
    .filter((change) => change.before !== change.after);
}
