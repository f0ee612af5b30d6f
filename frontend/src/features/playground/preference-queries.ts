import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { Dataset, Duel, ListOf, NewVote, Preference } from "@/api/types";

const PAGE_SIZE = 20;

const keys = { all: ["preferences"] as const };

/** Newest first. */
export function votesQuery(after: string | undefined) {
  return queryOptions({
    queryKey: [...keys.all, "list", after ?? null] as const,
    queryFn: ({ signal }) =>
      unwrap<ListOf<Preference>>(
        api.GET("/v1/preferences", {
          params: { query: { limit: PAGE_SIZE, ...(after ? { after } : {}) } },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

/** How often each of two won. */
export const winsQuery = queryOptions({
  queryKey: [...keys.all, "wins"] as const,
  queryFn: async ({ signal }) =>
    (await unwrap<{ data: Duel[] }>(api.GET("/v1/preferences/wins", { signal }))).data,
});

/** The same key twice is one vote. */
export function useVote() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ key, vote }: { key: string; vote: NewVote }) =>
      unwrap<Preference>(
        api.POST("/v1/preferences", {
          body: vote,
          headers: { "idempotency-key": key },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export function useDeleteVote() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<unknown>(
        api.DELETE("/v1/preferences/{preference_id}", { params: { path: { preference_id: id } } }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export function useMakeExamples() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (key: string) =>
      unwrap<Dataset>(api.POST("/v1/preferences/dataset", { body: {}, headers: { "idempotency-key": key } })),
    onSuccess: () => client.invalidateQueries({ queryKey: ["datasets"] }),
  });
}
