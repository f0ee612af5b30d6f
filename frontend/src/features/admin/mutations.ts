import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type {
  AdminJobDetails,
  AdminQueue,
  AdminWorker,
  MadeWorkerToken,
  QueueName,
  WorkerToken,
} from "@/api/types";
import { keys } from "@/features/admin/queries";

/** Every change here shows in several lists: all of them are fetched again. */
function useAdminMutation<In, Out>(mutationFn: (input: In) => Promise<Out>) {
  const client = useQueryClient();
  return useMutation({ mutationFn, onSuccess: () => client.invalidateQueries({ queryKey: keys.all }) });
}

export interface Limit {
  queue: QueueName;
  workspaceId: string;
  maxRunning: number | null;
}

export function useChangeLimit() {
  return useAdminMutation(({ queue, workspaceId, maxRunning }: Limit) =>
    unwrap<AdminQueue>(
      api.PATCH("/v1/admin/queues/{queue}/workspaces/{workspace_id}", {
        params: { path: { queue, workspace_id: workspaceId } },
        body: { max_running: maxRunning },
      }),
    ),
  );
}

export type DrainMode = "finish" | "now";

export function useDrain() {
  return useAdminMutation(({ id, mode }: { id: string; mode: DrainMode }) =>
    unwrap<AdminWorker>(
      api.POST("/v1/admin/workers/{worker_id}/drain", {
        params: { path: { worker_id: id } },
        body: { mode },
      }),
    ),
  );
}

export function useUndrain() {
  return useAdminMutation((id: string) =>
    unwrap<AdminWorker>(
      api.POST("/v1/admin/workers/{worker_id}/undrain", { params: { path: { worker_id: id } } }),
    ),
  );
}

export function useKillJob(id: string) {
  return useAdminMutation(() =>
    unwrap<AdminJobDetails>(api.POST("/v1/admin/jobs/{job_id}/kill", { params: { path: { job_id: id } } })),
  );
}

export function useRetryJob(id: string) {
  return useAdminMutation(() =>
    unwrap<AdminJobDetails>(api.POST("/v1/admin/jobs/{job_id}/retry", { params: { path: { job_id: id } } })),
  );
}

export function useCancelJob(id: string) {
  return useAdminMutation(() =>
    unwrap<AdminJobDetails>(api.POST("/v1/admin/jobs/{job_id}/cancel", { params: { path: { job_id: id } } })),
  );
}

export function useMakeToken() {
  return useAdminMutation((name: string) =>
    unwrap<MadeWorkerToken>(api.POST("/v1/admin/worker_tokens", { body: { name } })),
  );
}

export function useRevokeToken() {
  return useAdminMutation((id: string) =>
    unwrap<WorkerToken>(
      api.DELETE("/v1/admin/worker_tokens/{token_id}", { params: { path: { token_id: id } } }),
    ),
  );
}
