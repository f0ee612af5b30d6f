import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { ExportFormat, ListOf, ModelExport, ModelExportChoice } from "@/api/types";

const POLL_MS = 1500;
const keys = { all: ["model-exports"] as const };

export function isUnderWay(found: ModelExport): boolean {
  return !["succeeded", "failed", "cancelled"].includes(found.status);
}

/** In which forms a model can be had, and why not in the others. */
export function choicesQuery(model: string) {
  return queryOptions({
    queryKey: [...keys.all, "choices", model],
    queryFn: async ({ signal }) =>
      (
        await unwrap<{ data: ModelExportChoice[] }>(
          api.GET("/v1/model_exports/choices/{model}", { params: { path: { model } }, signal }),
        )
      ).data,
  });
}

/** The newest of a model, first. */
export function exportsQuery(model: string) {
  return queryOptions({
    queryKey: [...keys.all, "of", model],
    queryFn: async ({ signal }) =>
      (
        await unwrap<ListOf<ModelExport>>(
          api.GET("/v1/model_exports", { params: { query: { model, limit: 50 } }, signal }),
        )
      ).data,
    refetchInterval: (query) => (query.state.data?.some(isUnderWay) ? POLL_MS : false),
  });
}

export function useExportModel(model: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ format, key }: { format: ExportFormat; key: string }) =>
      unwrap<ModelExport>(
        api.POST("/v1/model_exports", { body: { model, format }, headers: { "Idempotency-Key": key } }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: exportsQuery(model).queryKey }),
  });
}

export function useCancelExport(model: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<ModelExport>(
        api.POST("/v1/model_exports/{export_id}/cancel", { params: { path: { export_id: id } } }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: exportsQuery(model).queryKey }),
  });
}

export function contentUrl(id: string): string {
  return `/v1/model_exports/${encodeURIComponent(id)}/content`;
}
