import type { CloneRun, CreateRun, Recipe, RowKind, Run } from "@/api/types";
import { NO_SCHEDULE, type Schedule } from "@/features/training/components/schedule-fields";
import { isRecipe } from "@/features/training/components/wording";
import { toKnobFields, type Knobs } from "@/features/training/knobs";
import { newKey } from "@/lib/new-key";

export const HELD_BACK = "";
/** Of a copy: what its run was checked with, which may be a version that no dataset has as its newest. */
export const AS_BEFORE = "as-before";

/** What was chosen for a run that has not been started. */
export interface Draft {
  datasetId: string;
  /** The dataset that the result is checked with; `HELD_BACK` for a part of the examples themselves. */
  checkedWith: string;
  model: string;
  recipe: Recipe;
  name: string;
  knobs: Knobs;
  schedule: Schedule;
  /** Made once for this draft: however often Start is pressed or retried, one run begins. */
  idempotencyKey: string;
}

export function emptyDraft(): Draft {
  return {
    datasetId: "",
    checkedWith: HELD_BACK,
    model: "",
    recipe: "balanced",
    name: "",
    knobs: {},
    schedule: NO_SCHEDULE,
    idempotencyKey: newKey(),
  };
}

/** A copy begins as its run was. Its knobs are empty: what is not turned stays as it was. */
export function draftOf(run: Run, datasetId: string): Draft {
  return {
    ...emptyDraft(),
    datasetId,
    checkedWith: run.validation_dataset_version_id ? AS_BEFORE : HELD_BACK,
    model: run.model,
    recipe: recipeOf(run),
    name: run.name ?? "",
    schedule: { startAfter: null, maxCostUsd: run.max_cost_usd, priority: run.priority },
  };
}

function recipeOf(run: Run): Recipe {
  return isRecipe(run.recipe) ? run.recipe : "balanced";
}

interface Chosen {
  model: string;
  versionId: string;
  /** What the result is checked with, if that is not a part of the examples. */
  validationId: string | null;
  kind: RowKind;
  name: string;
}

export function toCreate(draft: Draft, chosen: Chosen): CreateRun {
  const { startAfter, maxCostUsd, priority } = draft.schedule;
  return {
    model: chosen.model,
    dataset_version_id: chosen.versionId,
    ...(chosen.validationId === null ? {} : { validation_dataset_version_id: chosen.validationId }),
    recipe: draft.recipe,
    name: chosen.name,
    ...toKnobFields(draft.knobs, chosen.kind),
    ...(startAfter === null ? {} : { start_after: startAfter }),
    ...(maxCostUsd === null ? {} : { max_cost_usd: maxCostUsd }),
    priority,
  };
}

/** Only what differs from the run that is copied. */
export function toClone(draft: Draft, run: Run, chosen: Chosen): CloneRun {
  const { startAfter, maxCostUsd, priority } = draft.schedule;
  return {
    ...(chosen.model === run.model ? {} : { model: chosen.model }),
    ...(chosen.versionId === run.dataset_version_id ? {} : { dataset_version_id: chosen.versionId }),
    ...validationOf(run, chosen),
    ...(draft.recipe === recipeOf(run) ? {} : { recipe: draft.recipe }),
    ...(chosen.name === (run.name ?? "") ? {} : { name: chosen.name }),
    ...toKnobFields(draft.knobs, chosen.kind, run, true),
    ...(startAfter === null ? {} : { start_after: startAfter }),
    ...(maxCostUsd === run.max_cost_usd ? {} : { max_cost_usd: maxCostUsd }),
    ...(priority === run.priority ? {} : { priority }),
  };
}

/** Null takes back both ways in which it may have been named. */
function validationOf(run: Run, chosen: Chosen): CloneRun {
  if (chosen.validationId === run.validation_dataset_version_id) return {};
  return chosen.validationId === null
    ? { validation_dataset_version_id: null, validation_file: null }
    : { validation_dataset_version_id: chosen.validationId };
}
