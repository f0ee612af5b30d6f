import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { KeptAnswer, KeptMessage, ListOf } from "@/api/types";

const PAGE_SIZE = 30;
const MESSAGE_BATCH = 100;

const keys = { all: ["kept answers"] as const };

export interface KeptFilter {
  model?: string | undefined;
  after?: string | undefined;
}

/** Newest first. */
export function keptAnswersQuery({ model, after }: KeptFilter) {
  return queryOptions({
    queryKey: [...keys.all, "list", { model, after }] as const,
    queryFn: ({ signal }) =>
      unwrap<ListOf<KeptAnswer>>(
        api.GET("/v1/chat/completions", {
          params: {
            query: {
              order: "desc",
              limit: PAGE_SIZE,
              ...(model ? { model } : {}),
              ...(after ? { after } : {}),
            },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
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

export function useDeleteKeptAnswer() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<unknown>(
        api.DELETE("/v1/chat/completions/{completion_id}", { params: { path: { completion_id: id } } }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: [...keys.all, "list"] }),
  });
}
