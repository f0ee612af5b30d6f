import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import type { Dataset, Model, Run } from "@/api/types";
import { useSession } from "@/features/session/queries";
import { checkable } from "@/features/training/components/checked-with";
import {
  AS_BEFORE,
  draftOf,
  emptyDraft,
  toClone,
  toCreate,
  type Draft,
} from "@/features/training/components/run-draft";
import { knobsOf, mergeKnobs, toKnobFields } from "@/features/training/knobs";
import { useCloneRun, useStartRun } from "@/features/training/mutations";
import { estimateQuery } from "@/features/training/queries";
import { newKey } from "@/lib/new-key";
import { useDraft } from "@/lib/use-draft";

export interface RunFormProps {
  datasets: Dataset[];
  bases: Model[];
  /** The dataset the page was opened for. */
  wanted: string | undefined;
  /** The run this one is a copy of. */
  copied: { run: Run; datasetId: string } | null;
}

export function useRunForm({ datasets, bases, wanted, copied }: RunFormProps) {
  const navigate = useNavigate();
  const start = useStartRun();
  const clone = useCloneRun();
  const isStarting = useRef(false);
  // a draft names examples, which another workspace does not have
  const workspaceId = useSession().workspace.id;
  const { draft, change, discard } = useDraft<Draft>(
    copied ? `new-run:from:${copied.run.id}` : `new-run:${workspaceId}:${wanted ?? "any"}`,
    () => (copied ? draftOf(copied.run, copied.datasetId) : emptyDraft()),
  );
  const dataset =
    datasets.find((item) => item.id === (draft.datasetId || wanted)) ??
    (wanted || draft.datasetId ? undefined : datasets[0]);
  const base = bases.find((model) => model.id === draft.model) ?? bases[0];
  const isSameData = copied !== null && dataset?.id === copied.datasetId;
  const versionId = isSameData ? copied.run.dataset_version_id : dataset?.latest_version.id;
  const kind = dataset?.latest_version.kind ?? "chat";
  const name = (draft.name || (dataset?.name ?? "")).trim();
  const validationId =
    copied && draft.checkedWith === AS_BEFORE
      ? copied.run.validation_dataset_version_id
      : (checkable(datasets, dataset, kind).find((one) => one.id === draft.checkedWith)?.latest_version.id ??
        null);
  const chosen = versionId && base ? { model: base.id, versionId, validationId, kind, name } : null;
  const changes = copied && chosen ? toClone(draft, copied.run, chosen) : {};
  const asked = {
    versionId: versionId ?? null,
    model: base?.id ?? "",
    maxCostUsd: draft.schedule.maxCostUsd,
  };
  const estimates = useQuery(
    estimateQuery({ ...asked, knobs: toKnobFields(draft.knobs, kind, copied?.run ?? null) }),
  );
  // With the recipe it had, a copy keeps every knob of its run; with another, the recipe turns those nobody set.
  const asBefore = useQuery({
    ...estimateQuery({
      ...asked,
      knobs: toKnobFields(mergeKnobs(copied ? knobsOf(copied.run) : {}, draft.knobs), kind),
    }),
    enabled: copied !== null && chosen !== null,
  });
  const own = asBefore.data?.estimates.find((one) => one.recipe === copied?.run.recipe);
  const reply = estimates.data && {
    ...estimates.data,
    estimates: estimates.data.estimates.map((one) => (one.recipe === own?.recipe ? own : one)),
  };

  const begin = () => {
    if (!chosen || isStarting.current) return;
    isStarting.current = true;
    const then = {
      onSuccess: (run: Run) => {
        discard();
        void navigate({ to: "/train/$runId", params: { runId: run.id } });
      },
      onError: () => (isStarting.current = false),
    };
    const { idempotencyKey } = draft;
    if (copied) clone.mutate({ id: copied.run.id, idempotencyKey, changes }, then);
    else start.mutate({ idempotencyKey, body: toCreate(draft, chosen) }, then);
  };
  return {
    draft,
    // A key belongs to one exact request: whatever is changed afterwards is another run.
    edit: (part: Partial<Draft>) => change({ ...part, idempotencyKey: newKey() }),
    dataset,
    kind,
    base,
    version: dataset?.latest_version,
    estimates,
    reply,
    changes,
    compared: { model: base?.id ?? "", versionId: versionId ?? null, validationId, kind },
    /** The fields of the wire that a copy sends. */
    differs: copied ? changes : {},
    begin,
    error: start.error ?? clone.error,
    isBusy: start.isPending || start.isSuccess || clone.isPending || clone.isSuccess,
  };
}
