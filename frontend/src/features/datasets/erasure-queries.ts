import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { Erasure, ListOf } from "@/api/types";
import { keys } from "@/features/datasets/queries";

const POLL_MS = 1500;
const LIST_KEY = ["erasures", "list"] as const;

export const erasuresQuery = queryOptions({
  queryKey: LIST_KEY,
  queryFn: ({ signal }) =>
    unwrap<ListOf<Erasure>>(api.GET("/v1/erasures", { params: { query: { limit: 50 } }, signal })),
});

export function erasureQuery(id: string) {
  return queryOptions({
    queryKey: ["erasures", "one", id],
    queryFn: ({ signal }) =>
      unwrap<Erasure>(api.GET("/v1/erasures/{erasure_id}", { params: { path: { erasure_id: id } }, signal })),
    refetchInterval: (query) => (query.state.data?.status === "erasing" ? POLL_MS : false),
  });
}

export function useSearchPerson() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (terms: string[]) => unwrap<Erasure>(api.POST("/v1/erasures", { body: { terms } })),
    onSuccess: (found) => {
      client.setQueryData(erasureQuery(found.id).queryKey, found);
      return client.invalidateQueries({ queryKey: LIST_KEY });
    },
  });
}

export function useConfirmErasure(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () =>
      unwrap<Erasure>(
        api.POST("/v1/erasures/{erasure_id}/confirm", { params: { path: { erasure_id: id } } }),
      ),
    onSuccess: (found) => {
      client.setQueryData(erasureQuery(id).queryKey, found);
      return Promise.all([
        client.invalidateQueries({ queryKey: LIST_KEY }),
        client.invalidateQueries({ queryKey: keys.all }),
      ]);
    },
  });
}

export function useDiscardErasure(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () =>
      unwrap<unknown>(api.DELETE("/v1/erasures/{erasure_id}", { params: { path: { erasure_id: id } } })),
    onSuccess: () => {
      client.removeQueries({ queryKey: erasureQuery(id).queryKey });
      return client.invalidateQueries({ queryKey: LIST_KEY });
    },
  });
}
