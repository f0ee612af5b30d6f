import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { ListOf, ScalingEstimate, ScalingStudy } from "@/api/types";
import { keys } from "@/features/datasets/queries";

const POLL_MS = 1500;

/** With fewer rows the service refuses to judge (core/training/scaling/parts.py). */
export const MIN_TRAIN = 40;
export const MIN_HELDOUT = 10;

export function isUnderWay(study: ScalingStudy): boolean {
  return !["succeeded", "failed", "cancelled"].includes(study.status);
}

/** The newest study of a version, or null. */
export function studyQuery(versionId: string) {
  return queryOptions({
    queryKey: [...keys.all, "study", versionId],
    queryFn: async ({ signal }) => {
      const found = await unwrap<ListOf<ScalingStudy>>(
        api.GET("/v1/dataset_versions/{version_id}/scaling_studies", {
          params: { path: { version_id: versionId }, query: { limit: 1 } },
          signal,
        }),
      );
      return found.data[0] ?? null;
    },
    refetchInterval: (query) => (query.state.data && isUnderWay(query.state.data) ? POLL_MS : false),
  });
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
    onSuccess: (study) => client.setQueryData(studyQuery(versionId).queryKey, study),
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
    onSuccess: (found) => client.setQueryData(studyQuery(study.dataset_version_id).queryKey, found),
  });
}
