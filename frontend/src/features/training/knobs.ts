import type { AdapterType, CreateRun, MethodType, RowKind, Run } from "@/api/types";

type Sent<Group extends keyof CreateRun> = Partial<NonNullable<CreateRun[Group]>>;

export interface Hyperparameters {
  n_epochs?: number;
  batch_size?: number;
  learning_rate_multiplier?: number;
  beta?: number;
  label_smoothing?: number;
}
export type AdapterKnobs = Sent<"adapter">;
export type LoopKnobs = Sent<"training">;

/** What an engineer turned, in the groups and under the names of the wire. What is not here the recipe decides. */
export interface Knobs {
  method?: MethodType;
  hyperparameters?: Hyperparameters;
  adapter?: AdapterKnobs;
  training?: LoopKnobs;
}

/** What each method learns from; the first of a kind is what it is taken for. */
export const METHODS_OF: Record<RowKind, [MethodType, ...MethodType[]]> = {
  chat: ["supervised"],
  preference: ["dpo", "orpo"],
  text: ["continued_pretraining"],
};

const HYPERPARAMETERS: Record<MethodType, (keyof Hyperparameters)[]> = {
  supervised: ["n_epochs", "batch_size", "learning_rate_multiplier"],
  continued_pretraining: ["n_epochs", "batch_size", "learning_rate_multiplier"],
  orpo: ["n_epochs", "batch_size", "learning_rate_multiplier", "beta"],
  dpo: ["n_epochs", "batch_size", "learning_rate_multiplier", "beta", "label_smoothing"],
};

type AdapterKnob = Exclude<keyof AdapterKnobs, "type">;

const LOW_RANK: AdapterKnob[] = ["rank", "alpha", "dropout", "target_modules"];

/** The settings that each way of changing the base has. */
export const ADAPTER_KNOBS: Record<AdapterType, AdapterKnob[]> = {
  auto: LOW_RANK,
  lora: LOW_RANK,
  qlora: LOW_RANK,
  rslora: [...LOW_RANK, "quantization"],
  dora: [...LOW_RANK, "quantization"],
  lora_plus: [...LOW_RANK, "learning_rate_ratio", "quantization"],
  pissa: [...LOW_RANK, "num_iterations"],
  prompt_tuning: ["num_virtual_tokens", "init_text", "quantization"],
  full: [],
};

export function isAdapterType(value: string): value is AdapterType {
  return value in ADAPTER_KNOBS;
}

function only<Group extends object>(group: Group | undefined, names: (keyof Group)[]): Partial<Group> {
  const pairs = Object.entries(group ?? {}).filter(
    ([name, value]) => names.includes(name as keyof Group) && value !== undefined && value !== null,
  );
  return Object.fromEntries(pairs) as Partial<Group>;
}

/** A group with one setting turned, or left to the recipe again (undefined). */
export function turned<Group extends object>(
  group: Group | undefined,
  name: keyof Group,
  value: unknown,
): Group {
  const rest = Object.entries(group ?? {}).filter(([key]) => key !== name);
  return Object.fromEntries(value === undefined ? rest : [...rest, [name, value]]) as Group;
}

/** How rows of this kind are learned: as was chosen, as the run did that is copied, or in the usual way. */
export function methodFor(kind: RowKind, knobs: Knobs, copied: Run | null = null): MethodType {
  const fitting = METHODS_OF[kind];
  return (
    fitting.find((method) => method === knobs.method) ??
    fitting.find((method) => method === copied?.method.type) ??
    fitting[0]
  );
}

/** How the base is changed: as was chosen, else as in the run that is copied, else as we decide. */
export function adapterFor(knobs: Knobs, copied: Run | null = null): AdapterType {
  const before = copied?.adapter.type ?? "auto";
  return knobs.adapter?.type ?? (isAdapterType(before) ? before : "auto");
}

/**
 * The turned knobs as the wire has them; those that do not belong to what is chosen stay behind.
 * `isChange`: only what differs from `copied` is sent.
 */
export function toKnobFields(knobs: Knobs, kind: RowKind, copied: Run | null = null, isChange = false) {
  const method = methodFor(kind, knobs, copied);
  const hyperparameters = only(knobs.hyperparameters, HYPERPARAMETERS[method]);
  const isOther = method !== (isChange ? copied?.method.type : "supervised");
  const hasNumbers = Object.keys(hyperparameters).length > 0;
  const adapter = {
    ...(knobs.adapter?.type ? { type: knobs.adapter.type } : {}),
    ...only(knobs.adapter, ADAPTER_KNOBS[adapterFor(knobs, copied)]),
  };
  const training = knobs.training ?? {};
  return {
    ...(isOther || hasNumbers
      ? { method: { type: method, ...(hasNumbers ? { [method]: { hyperparameters } } : {}) } }
      : {}),
    ...(Object.keys(adapter).length > 0 ? { adapter } : {}),
    ...(Object.keys(training).length > 0 ? { training } : {}),
  } as Pick<Partial<CreateRun>, "method" | "adapter" | "training">;
}

/** What a run of any method has: epochs, batch size, rate, and what is its method's own. */
export function hyperparametersOf(run: Run): Partial<Record<keyof Hyperparameters, number | "auto">> {
  return { ...run.method[run.method.type]?.hyperparameters };
}

/** The knobs a run really used, as the estimate of its copy needs them. */
export function knobsOf(run: Run): Knobs {
  const used = Object.entries(hyperparametersOf(run)).filter(([, value]) => typeof value === "number");
  const type = isAdapterType(run.adapter.type) ? run.adapter.type : "auto";
  return {
    method: run.method.type,
    hyperparameters: Object.fromEntries(used),
    adapter: { type, ...only(run.adapter as AdapterKnobs, ADAPTER_KNOBS[type]) },
  };
}

/** `over` where it says something, else `under`. */
export function mergeKnobs(under: Knobs, over: Knobs): Knobs {
  return {
    ...under,
    ...over,
    hyperparameters: { ...under.hyperparameters, ...over.hyperparameters },
    adapter: { ...under.adapter, ...over.adapter },
    training: { ...under.training, ...over.training },
  };
}
