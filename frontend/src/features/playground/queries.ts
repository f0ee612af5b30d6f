import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { Dataset, KeptAnswer, KeptMessage, ListOf, RequestLog, RequestLogChange } from "@/api/types";

const PAGE_SIZE = 30;
const MESSAGE_BATCH = 100;
const DAY_S = 86_400;

const keys = { all: ["kept answers"] as const };

export interface KeptFilter {
  model?: string | undefined;
  q?: string | undefined;
  origin?: KeptAnswer["origin"] | undefined;
  outcome?: "failed" | "cancelled" | "any" | undefined;
  /** Days, as a date field has them. */
  from?: string | undefined;
  to?: string | undefined;
  after?: string | undefined;
}

/** Newest first. */
export function keptAnswersQuery(filter: KeptFilter) {
  const { model, q, origin, outcome, from, to, after } = filter;
  return queryOptions({
    queryKey: [...keys.all, "list", filter] as const,
    queryFn: ({ signal }) =>
      unwrap<ListOf<KeptAnswer>>(
        api.GET("/v1/chat/completions", {
          params: {
            query: {
              order: "desc",
              limit: PAGE_SIZE,
              ...(model ? { model } : {}),
              ...(q ? { q } : {}),
              ...(origin ? { origin } : {}),
              ...(outcome ? { outcome } : {}),
              ...(from ? { created_after: dayBegins(from) } : {}),
              ...(to ? { created_before: dayBegins(to) + DAY_S } : {}),
              ...(after ? { after } : {}),
            },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

/** By the reader's clock, in unix seconds. */
function dayBegins(day: string): number {
  return Math.round(new Date(`${day}T00:00`).getTime() / 1000);
}

export function keptAnswerQuery(id: string) {
  return queryOptions({
    queryKey: [...keys.all, "one", id] as const,
    queryFn: ({ signal }) =>
      unwrap<KeptAnswer>(
        api.GET("/v1/chat/completions/{completion_id}", { params: { path: { completion_id: id } }, signal }),
      ),
  });
}

/** All that was said before the answer. */
export function keptMessagesQuery(id: string) {
  return queryOptions({
    queryKey: [...keys.all, "messages", id] as const,
    queryFn: async ({ signal }) => {
      const messages: KeptMessage[] = [];
      for (;;) {
        const last = messages.at(-1)?.id;
        const query = { limit: MESSAGE_BATCH, ...(last ? { after: last } : {}) };
        const page = await unwrap<ListOf<KeptMessage>>(
          api.GET("/v1/chat/completions/{completion_id}/messages", {
            params: { path: { completion_id: id }, query },
            signal,
          }),
        );
        messages.push(...page.data);
        if (!page.has_more || page.data.length === 0) return messages;
      }
    },
  });
}

function deleteOne(id: string) {
  return unwrap<unknown>(
    api.DELETE("/v1/chat/completions/{completion_id}", { params: { path: { completion_id: id } } }),
  );
}

export function useDeleteKeptAnswer() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: deleteOne,
    onSuccess: () => client.invalidateQueries({ queryKey: [...keys.all, "list"] }),
  });
}

/** One after the other; where one fails, those before it are gone and the list says so. */
export function useDeleteKeptAnswers() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (ids: string[]) => {
      for (const id of ids) await deleteOne(id);
    },
    onSettled: () => client.invalidateQueries({ queryKey: [...keys.all, "list"] }),
  });
}

export function useMakeExamplesOfKept() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ key, ids }: { key: string; ids: string[] }) =>
      unwrap<Dataset>(
        api.POST("/v1/request_log/dataset", {
          body: { completion_ids: ids },
          headers: { "idempotency-key": key },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ["datasets"] }),
  });
}

export const requestLogQuery = queryOptions({
  queryKey: ["request log"],
  queryFn: ({ signal }) => unwrap<RequestLog>(api.GET("/v1/request_log", { signal })),
});

export function useChangeRequestLog() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: RequestLogChange) => unwrap<RequestLog>(api.PATCH("/v1/request_log", { body })),
    onSuccess: (now) => client.setQueryData(requestLogQuery.queryKey, now),
  });
}
