import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type {
  DatasetVersion,
  EstimateReply,
  Finding,
  Learner,
  ListOf,
  PastVersion,
  VersionDiff,
} from "@/api/types";
import { keys, POLL_MS } from "@/features/datasets/queries";

const SHOWN_DIFFERENCES = 50;

export function historyQuery(datasetId: string) {
  return queryOptions({
    queryKey: [...keys.all, "history", datasetId],
    queryFn: ({ signal }) =>
      unwrap<ListOf<PastVersion>>(
        api.GET("/v1/datasets/{dataset_id}/versions", {
          params: { path: { dataset_id: datasetId }, query: { limit: 100 } },
          signal,
        }),
      ),
    // one that is being made would else be called so for as long as the page stays open
    refetchInterval: (query) =>
      query.state.data?.data.some((version) => version.status === "validating") ? POLL_MS : false,
  });
}

export function diffQuery(versionId: string, before: string) {
  return queryOptions({
    queryKey: [...keys.all, "diff", before, versionId],
    queryFn: ({ signal }) =>
      unwrap<VersionDiff>(
        api.GET("/v1/dataset_versions/{version_id}/diff", {
          params: { path: { version_id: versionId }, query: { before, limit: SHOWN_DIFFERENCES } },
          signal,
        }),
      ),
    // what a version is does not change
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });
}

export function learnersQuery(datasetId: string) {
  return queryOptions({
    queryKey: [...keys.all, "learners", datasetId],
    queryFn: ({ signal }) =>
      unwrap<ListOf<Learner>>(
        api.GET("/v1/datasets/{dataset_id}/lineage", { params: { path: { dataset_id: datasetId } }, signal }),
      ),
  });
}

const METHODS = { chat: "supervised", preference: "dpo", text: "continued_pretraining" } as const;

/** What one pass over the examples would take, with the default model and recipe. */
export function onePassQuery({ id, kind }: DatasetVersion) {
  return queryOptions({
    queryKey: [...keys.all, "one-pass", id],
    queryFn: ({ signal }) =>
      unwrap<EstimateReply>(
        api.POST("/v1/fine_tuning/estimates", {
          body: {
            dataset_version_id: id,
            recipe: "balanced",
            method: { type: METHODS[kind] },
            hyperparameters: { n_epochs: 1 },
          },
          signal,
        }),
      ),
    retry: false,
  });
}

/** Makes a new version in which a finding is mended in every row that has it. */
export function useFix(versionId: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ code, kind }: { code: string; kind: Finding["fixes"][number] }) =>
      unwrap<DatasetVersion>(
        api.POST("/v1/dataset_versions/{version_id}/changes", {
          params: { path: { version_id: versionId } },
          body: { changes: [{ type: kind === "leave_out" ? "exclude_rows" : "apply_fix", finding: code }] },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

/** Enters that what was found may stay in the version, and why. */
export function useKeepFinding(versionId: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ code, ground }: { code: string; ground: string }) =>
      unwrap<unknown>(
        api.POST("/v1/dataset_versions/{version_id}/findings/{code}/keep", {
          params: { path: { version_id: versionId, code } },
          body: { ground },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export function useStopKeeping(versionId: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (code: string) =>
      unwrap<unknown>(
        api.DELETE("/v1/dataset_versions/{version_id}/findings/{code}/keep", {
          params: { path: { version_id: versionId, code } },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

type Change = NonNullable<DatasetVersion["changes"]>[number];
export type SplitStrategy = Extract<Change, { type: "resplit" }>["strategy"];

/** Makes a new version in which other examples are held back. */
export function useResplit(versionId: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (split: { strategy: SplitStrategy; fraction: number }) =>
      unwrap<DatasetVersion>(
        api.POST("/v1/dataset_versions/{version_id}/changes", {
          params: { path: { version_id: versionId } },
          body: { changes: [{ type: "resplit", ...split }] },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

/** Makes a new version that is what an earlier one was. */
export function useGoBack(latestId: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (number: number) =>
      unwrap<DatasetVersion>(
        api.POST("/v1/dataset_versions/{version_id}/changes", {
          params: { path: { version_id: latestId } },
          body: { changes: [{ type: "restore", number }] },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export function downloadUrl(versionId: string, format: "csv" | "xlsx" | "jsonl" | "parquet"): string {
  return `/v1/dataset_versions/${versionId}/content?format=${format}`;
}
