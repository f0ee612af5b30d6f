import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { CreateRun, EstimateReply, ListOf, Metric, Run, RunEvent, RunStatus } from "@/api/types";

const POLL_MS = 5000;
const FINISHED: readonly RunStatus[] = ["succeeded", "failed", "cancelled"];

export function isFinished(run: Pick<Run, "status">): boolean {
  return FINISHED.includes(run.status);
}

export const keys = {
  all: ["runs"] as const,
  list: ["runs", "list"] as const,
  one: (id: string) => ["runs", "one", id] as const,
  metrics: (id: string) => ["runs", "metrics", id] as const,
  log: (id: string) => ["runs", "log", id] as const,
};

export const runsQuery = queryOptions({
  queryKey: keys.list,
  queryFn: ({ signal }) =>
    unwrap<ListOf<Run>>(api.GET("/v1/fine_tuning/jobs", { params: { query: { limit: 100 } }, signal })),
  refetchInterval: (query) => (query.state.data?.data.some((run) => !isFinished(run)) ? POLL_MS : false),
});

export function runQuery(id: string) {
  return queryOptions({
    queryKey: keys.one(id),
    queryFn: ({ signal }) =>
      unwrap<Run>(
        api.GET("/v1/fine_tuning/jobs/{fine_tuning_job_id}", {
          params: { path: { fine_tuning_job_id: id } },
          signal,
        }),
      ),
  });
}

export function metricsQuery(id: string) {
  return queryOptions({
    queryKey: keys.metrics(id),
    queryFn: async ({ signal }) => {
      const path = { fine_tuning_job_id: id };
      const reply = await unwrap(
        api.GET("/v1/fine_tuning/jobs/{fine_tuning_job_id}/metrics", { params: { path }, signal }),
      );
      // The wire leaves the columns of a metrics row open; the chart reads only these.
      return reply.data as unknown as Metric[];
    },
  });
}

export function logQuery(id: string) {
  return queryOptions({
    queryKey: keys.log(id),
    queryFn: async ({ signal }) => {
      const params = { path: { fine_tuning_job_id: id }, query: { limit: 100 } };
      const reply = await unwrap<ListOf<RunEvent>>(
        api.GET("/v1/fine_tuning/jobs/{fine_tuning_job_id}/events", { params, signal }),
      );
      return reply.data.filter((event) => event.type === "message").reverse();
    },
  });
}

export interface Knobs {
  method?: "lora" | "qlora";
  rank?: number;
  epochs?: number;
  learningRateMultiplier?: number;
  batchSize?: number;
}

/** The turned knobs as the wire spells them; untouched ones are left to the recipe. */
export function toKnobFields(knobs: Knobs) {
  const hyperparameters = {
    ...(knobs.epochs ? { n_epochs: knobs.epochs } : {}),
    ...(knobs.batchSize ? { batch_size: knobs.batchSize } : {}),
    ...(knobs.learningRateMultiplier ? { learning_rate_multiplier: knobs.learningRateMultiplier } : {}),
  };
  const adapter = {
    type: knobs.method ?? ("auto" as const),
    ...(knobs.rank ? { rank: knobs.rank } : {}),
  };
  return {
    ...(Object.keys(hyperparameters).length > 0
      ? { method: { type: "supervised", supervised: { hyperparameters } } }
      : {}),
    ...(knobs.method || knobs.rank ? { adapter } : {}),
  };
}

export function estimateQuery(versionId: string | null, model: string, knobs: Knobs) {
  const turned = toKnobFields(knobs);
  return queryOptions({
    queryKey: ["estimates", versionId, model, turned],
    queryFn: ({ signal }) =>
      unwrap<EstimateReply>(
        api.POST("/v1/fine_tuning/estimates", {
          body: { dataset_version_id: versionId ?? "", model, ...turned },
          signal,
        }),
      ),
    enabled: versionId !== null && model !== "",
    retry: false,
    staleTime: 30_000,
  });
}

export function useStartRun() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ idempotencyKey, body }: { idempotencyKey: string; body: CreateRun }) =>
      unwrap<Run>(api.POST("/v1/fine_tuning/jobs", { body, headers: { "Idempotency-Key": idempotencyKey } })),
    onSuccess: (run) => {
      client.setQueryData(keys.one(run.id), run);
      return client.invalidateQueries({ queryKey: keys.list });
    },
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
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}
