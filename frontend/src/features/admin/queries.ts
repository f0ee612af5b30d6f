import { keepPreviousData, queryOptions, type QueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type {
  AdminJob,
  AdminJobDetails,
  AdminQueue,
  AdminWorker,
  JobState,
  ListOf,
  LogChunk,
  ModelServers,
  QueueName,
  WorkerToken,
} from "@/api/types";

const PAGE_SIZE = 50;
const LOG_BATCH = 1000;

export const keys = {
  all: ["admin"] as const,
  queues: ["admin", "queues"] as const,
  workers: ["admin", "workers"] as const,
  modelServers: ["admin", "model_servers"] as const,
  tokens: ["admin", "tokens"] as const,
  jobs: ["admin", "jobs"] as const,
  job: (id: string) => ["admin", "job", id] as const,
  log: (id: string) => ["admin", "log", id] as const,
};

export const queuesQuery = queryOptions({
  queryKey: keys.queues,
  queryFn: async ({ signal }) =>
    (await unwrap<{ data: AdminQueue[] }>(api.GET("/v1/admin/queues", { signal }))).data,
});

export const workersQuery = queryOptions({
  queryKey: keys.workers,
  queryFn: async ({ signal }) =>
    (await unwrap<{ data: AdminWorker[] }>(api.GET("/v1/admin/workers", { signal }))).data,
});

export const modelServersQuery = queryOptions({
  queryKey: keys.modelServers,
  queryFn: ({ signal }) => unwrap<ModelServers>(api.GET("/v1/admin/model_servers", { signal })),
});

export const tokensQuery = queryOptions({
  queryKey: keys.tokens,
  queryFn: async ({ signal }) =>
    (await unwrap<{ data: WorkerToken[] }>(api.GET("/v1/admin/worker_tokens", { signal }))).data,
});

export interface JobFilter {
  state?: JobState | undefined;
  queue?: QueueName | undefined;
  workspace?: string | undefined;
  after?: string | undefined;
}

export function jobsQuery({ state, queue, workspace, after }: JobFilter) {
  return queryOptions({
    queryKey: [...keys.jobs, { state, queue, workspace, after }] as const,
    queryFn: ({ signal }) =>
      unwrap<ListOf<AdminJob>>(
        api.GET("/v1/admin/jobs", {
          params: {
            query: {
              limit: PAGE_SIZE,
              ...(state ? { state } : {}),
              ...(queue ? { queue } : {}),
              ...(workspace ? { workspace_id: workspace } : {}),
              ...(after ? { after } : {}),
            },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

export function jobQuery(id: string) {
  return queryOptions({
    queryKey: keys.job(id),
    queryFn: ({ signal }) =>
      unwrap<AdminJobDetails>(
        api.GET("/v1/admin/jobs/{job_id}", { params: { path: { job_id: id } }, signal }),
      ),
  });
}

/** All that a job printed. Asking again fetches only what is new and adds it to what is here. */
export function logQuery(client: QueryClient, id: string) {
  const queryKey = keys.log(id);
  return queryOptions({
    queryKey,
    queryFn: async ({ signal }) => {
      let chunks = client.getQueryData<LogChunk[]>(queryKey) ?? [];
      for (;;) {
        const query = { after_seq: chunks.at(-1)?.seq ?? 0, limit: LOG_BATCH };
        const reply = await unwrap<{ data: LogChunk[]; has_more: boolean }>(
          api.GET("/v1/admin/jobs/{job_id}/logs", { params: { path: { job_id: id }, query }, signal }),
        );
        if (reply.data.length > 0) chunks = [...chunks, ...reply.data];
        if (!reply.has_more || reply.data.length === 0) return chunks;
      }
    },
    structuralSharing: false,
  });
}
