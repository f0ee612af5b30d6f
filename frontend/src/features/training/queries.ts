import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type {
  CreateRun,
  EstimateReply,
  ListOf,
  MetricsReply,
  Rehearsal,
  RowKind,
  Run,
  RunEvent,
  RunStatus,
} from "@/api/types";

const POLL_MS = 5000;
const FINISHED: readonly RunStatus[] = ["succeeded", "failed", "cancelled"];

export function isFinished(run: Pick<Run, "status">): boolean {
  return FINISHED.includes(run.status);
}

export const keys = {
  all: ["runs"] as const,
  list: ["runs", "list"] as const,
  one: (id: string) => ["runs", "one", id] as const,
  waiting: ["runs", "waiting"] as const,
  metrics: (id: string, part?: MetricsWindow | Record<string, unknown>) =>
    part ? (["runs", "metrics", id, part] as const) : (["runs", "metrics", id] as const),
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

/** A part of the chart: the server thins it to what the width can show. */
export interface MetricsWindow {
  maxPoints: number;
  from?: number;
  to?: number;
}

export function metricsQuery(id: string, { maxPoints, from, to }: MetricsWindow) {
  return queryOptions({
    queryKey: keys.metrics(id, { maxPoints, from, to }),
    queryFn: async ({ signal }) => {
      const params = {
        path: { fine_tuning_job_id: id },
        query: { max_points: maxPoints, from_step: from ?? null, to_step: to ?? null },
      };
      const reply = await unwrap(
        api.GET("/v1/fine_tuning/jobs/{fine_tuning_job_id}/metrics", { params, signal }),
      );
      // The wire leaves the columns of a metrics row open; the chart reads only these.
      return reply as unknown as MetricsReply;
    },
    // While another part is fetched, the part that is here stays drawn.
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
}

export const waitingQuery = queryOptions({
  queryKey: keys.waiting,
  queryFn: ({ signal }) => unwrap<ListOf<Run>>(api.GET("/v1/fine_tuning/queue", { signal })),
  refetchInterval: POLL_MS,
});

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

export interface EstimateFor {
  versionId: string | null;
  model: string;
  /** `method`, `adapter` and `training` as a create would send them. */
  knobs: Pick<Partial<CreateRun>, "method" | "adapter" | "training">;
  maxCostUsd: number | null;
}

export function estimateQuery({ versionId, model, knobs, maxCostUsd }: EstimateFor) {
  const turned = { ...knobs, ...(maxCostUsd === null ? {} : { max_cost_usd: maxCostUsd }) };
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

export interface LeakageFor {
  model: string;
  versionId: string | null;
  validationId: string | null;
  kind: RowKind;
}

const METHOD_OF_KIND = { chat: "supervised", preference: "dpo", text: "continued_pretraining" } as const;

/** Which of the examples that the result is checked with are learned from too, asked of a rehearsal. */
export function leakageQuery({ model, versionId, validationId, kind }: LeakageFor) {
  return queryOptions({
    queryKey: ["leakage", versionId, validationId],
    queryFn: ({ signal }) =>
      unwrap<Rehearsal>(
        api.POST("/v1/fine_tuning/jobs/dry_run", {
          body: {
            model,
            dataset_version_id: versionId ?? "",
            validation_dataset_version_id: validationId ?? "",
            method: { type: METHOD_OF_KIND[kind] },
            // of no account here
            recipe: "balanced",
            priority: 0,
          },
          signal,
        }),
      ),
    enabled: versionId !== null && validationId !== null && model !== "",
    // versions do not change
    staleTime: Infinity,
    retry: false,
  });
}
