import { queryOptions, useMutation, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { ScalingEstimate, ScalingStudies, ScalingStudy } from "@/api/types";
import { keys } from "@/features/datasets/queries";

const POLL_MS = 1500;

export function isUnderWay(study: ScalingStudy): boolean {
  return !["succeeded", "failed", "cancelled"].includes(study.status);
}

/** The newest study of a version, if there is one, and how many rows it takes to make one. */
export function studiesQuery(versionId: string) {
  return queryOptions({
    queryKey: [...keys.all, "studies", versionId],
    queryFn: ({ signal }) =>
      unwrap<ScalingStudies>(
        api.GET("/v1/dataset_versions/{version_id}/scaling_studies", {
          params: { path: { version_id: versionId }, query: { limit: 1 } },
          signal,
        }),
      ),
    refetchInterval: (query) => (query.state.data?.data.some(isUnderWay) ? POLL_MS : false),
  });
}

function put(client: QueryClient, study: ScalingStudy) {
  client.setQueryData(
    studiesQuery(study.dataset_version_id).queryKey,
    (before) => before && { ...before, data: [study] },
  );
}

export function scalingEstimateQuery(versionId: string) {
  return queryOptions({
    queryKey: [...keys.all, "study-estimate", versionId],
    queryFn: ({ signal }) =>
      unwrap<ScalingEstimate>(
        api.GET("/v1/dataset_versions/{version_id}/scaling_estimate", {
          params: { path: { version_id: versionId } },
          signal,
        }),
      ),
    retry: false,
  });
}

export function useStartStudy(versionId: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (idempotencyKey: string) =>
      unwrap<ScalingStudy>(
        api.POST("/v1/dataset_versions/{version_id}/scaling_studies", {
          params: { path: { version_id: versionId } },
          body: { model: null },
          headers: { "Idempotency-Key": idempotencyKey },
        }),
      ),
    onSuccess: (study) => put(client, study),
  });
}

export function useCancelStudy(study: ScalingStudy) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () =>
      unwrap<ScalingStudy>(
        api.POST("/v1/scaling_studies/{scaling_study_id}/cancel", {
          params: { path: { scaling_study_id: study.id } },
        }),
      ),
    onSuccess: (found) => put(client, found),
  });
}
