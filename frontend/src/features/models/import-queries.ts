import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { BringModel, ListOf, ModelImport } from "@/api/types";

const POLL_MS = 1500;
const keys = { all: ["model-imports"] as const, list: ["model-imports", "list"] as const };

export function isUnderWay(found: ModelImport): boolean {
  return !["succeeded", "failed", "cancelled"].includes(found.status);
}

/** The newest first. */
export const importsQuery = queryOptions({
  queryKey: keys.list,
  queryFn: async ({ signal }) =>
    (
      await unwrap<ListOf<ModelImport>>(
        api.GET("/v1/model_imports", { params: { query: { limit: 20 } }, signal }),
      )
    ).data,
  refetchInterval: (query) => (query.state.data?.some(isUnderWay) ? POLL_MS : false),
});

export function importQuery(id: string) {
  return queryOptions({
    queryKey: [...keys.all, "one", id],
    queryFn: ({ signal }) =>
      unwrap<ModelImport>(
        api.GET("/v1/model_imports/{model_import_id}", {
          params: { path: { model_import_id: id } },
          signal,
        }),
      ),
    refetchInterval: (query) => (query.state.data && isUnderWay(query.state.data) ? POLL_MS : false),
  });
}

export function useBringModel() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ body, key }: { body: BringModel; key: string }) =>
      unwrap<ModelImport>(api.POST("/v1/model_imports", { body, headers: { "Idempotency-Key": key } })),
    onSettled: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export function useCancelBringing() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<ModelImport>(
        api.POST("/v1/model_imports/{model_import_id}/cancel", {
          params: { path: { model_import_id: id } },
        }),
      ),
    onSettled: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}
