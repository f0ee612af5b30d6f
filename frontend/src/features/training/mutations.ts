import { useMutation, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { CloneRun, CreateRun, ListOf, Run, RunChanges } from "@/api/types";
import { keys } from "@/features/training/queries";

function remember(client: QueryClient, run: Run) {
  client.setQueryData(keys.one(run.id), run);
  return Promise.all([
    client.invalidateQueries({ queryKey: keys.list }),
    client.invalidateQueries({ queryKey: keys.waiting }),
  ]);
}

export function useStartRun() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ idempotencyKey, body }: { idempotencyKey: string; body: CreateRun }) =>
      unwrap<Run>(api.POST("/v1/fine_tuning/jobs", { body, headers: { "Idempotency-Key": idempotencyKey } })),
    onSuccess: (run) => remember(client, run),
  });
}

export interface Clone {
  id: string;
  idempotencyKey: string;
  changes: CloneRun;
}

/** The same run once more, with only what was changed. */
export function useCloneRun() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, idempotencyKey, changes }: Clone) =>
      unwrap<Run>(
        api.POST("/v1/fine_tuning/jobs/{fine_tuning_job_id}/clone", {
          params: { path: { fine_tuning_job_id: id } },
          body: changes as Required<CloneRun>,
          headers: { "Idempotency-Key": idempotencyKey },
        }),
      ),
    onSuccess: (run) => remember(client, run),
  });
}

export function useCancelRun(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () =>
      unwrap<Run>(
        api.POST("/v1/fine_tuning/jobs/{fine_tuning_job_id}/cancel", {
          params: { path: { fine_tuning_job_id: id } },
        }),
      ),
    onSuccess: (run) => remember(client, run),
  });
}

export function usePauseRun(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () =>
      unwrap<Run>(
        api.POST("/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause", {
          params: { path: { fine_tuning_job_id: id } },
        }),
      ),
    onSuccess: (run) => remember(client, run),
  });
}

export function useResumeRun(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () =>
      unwrap<Run>(
        api.POST("/v1/fine_tuning/jobs/{fine_tuning_job_id}/resume", {
          params: { path: { fine_tuning_job_id: id } },
        }),
      ),
    onSuccess: (run) => remember(client, run),
  });
}

export function useChangeRun(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (changes: RunChanges) =>
      unwrap<Run>(
        api.PATCH("/v1/fine_tuning/jobs/{fine_tuning_job_id}", {
          params: { path: { fine_tuning_job_id: id } },
          body: changes as Required<RunChanges>,
        }),
      ),
    onSuccess: (run) => remember(client, run),
  });
}

export type Place = { to: "front" | "back" } | { before: string };

/** Changes the order of one's own waiting runs. The list shows it at once, and what the server says afterwards. */
export function useMoveRun() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, place }: { id: string; place: Place }) =>
      unwrap<Run>(
        api.POST("/v1/fine_tuning/jobs/{fine_tuning_job_id}/move", {
          params: { path: { fine_tuning_job_id: id } },
          body: place,
        }),
      ),
    onMutate: async ({ id, place }) => {
      await client.cancelQueries({ queryKey: keys.waiting });
      const before = client.getQueryData<ListOf<Run>>(keys.waiting);
      if (before) client.setQueryData(keys.waiting, { ...before, data: placed(before.data, id, place) });
      return { before };
    },
    onError: (_error, _move, result) => {
      if (result?.before) client.setQueryData(keys.waiting, result.before);
    },
    onSettled: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

function placed(runs: Run[], id: string, place: Place): Run[] {
  const moved = runs.find((run) => run.id === id);
  if (!moved) return runs;
  const others = runs.filter((run) => run.id !== id);
  const at =
    "before" in place ? others.findIndex((run) => run.id === place.before) : place.to === "front" ? 0 : -1;
  return at < 0 ? [...others, moved] : others.toSpliced(at, 0, moved);
}
