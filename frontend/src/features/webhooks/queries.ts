import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type {
  ListOf,
  MadeWebhook,
  Webhook,
  WebhookDelivery,
  WebhookEvent,
  WebhookTestResult,
} from "@/api/types";

const PAGE_SIZE = 20;
/** While something is on its way the log moves by itself. */
const MOVING_MS = 2000;

const keys = {
  all: ["webhooks"] as const,
  one: (id: string) => ["webhooks", id] as const,
  log: (id: string) => ["webhooks", id, "log"] as const,
};

const at = (id: string) => ({ params: { path: { webhook_endpoint_id: id } } });

export const webhooksQuery = queryOptions({
  queryKey: keys.all,
  queryFn: ({ signal }) =>
    unwrap<ListOf<Webhook>>(api.GET("/v1/webhook_endpoints", { params: { query: { limit: 100 } }, signal })),
});

export function webhookQuery(id: string) {
  return queryOptions({
    queryKey: keys.one(id),
    queryFn: ({ signal }) =>
      unwrap<Webhook>(api.GET("/v1/webhook_endpoints/{webhook_endpoint_id}", { ...at(id), signal })),
  });
}

export interface LogFilter {
  status?: WebhookDelivery["status"] | undefined;
  after?: string | undefined;
}

export function logQuery(id: string, { status, after }: LogFilter) {
  return queryOptions({
    queryKey: [...keys.log(id), { status, after }] as const,
    queryFn: ({ signal }) =>
      unwrap<ListOf<WebhookDelivery>>(
        api.GET("/v1/webhook_endpoints/{webhook_endpoint_id}/deliveries", {
          params: {
            path: { webhook_endpoint_id: id },
            query: { limit: PAGE_SIZE, ...(status ? { status } : {}), ...(after ? { after } : {}) },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: (query) =>
      query.state.data?.data.some((delivery) => delivery.status === "pending") ? MOVING_MS : false,
  });
}

function useWebhookMutation<In, Out>(mutationFn: (input: In) => Promise<Out>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    // A test that was not answered is in the log too.
    onSettled: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export interface WebhookDraft {
  name: string;
  url: string;
  event_types: WebhookEvent[];
}

export function useCreateWebhook() {
  return useWebhookMutation((body: WebhookDraft) =>
    unwrap<MadeWebhook>(api.POST("/v1/webhook_endpoints", { body })),
  );
}

export function useChangeWebhook(id: string) {
  return useWebhookMutation((body: Partial<WebhookDraft> & { disabled?: boolean }) =>
    unwrap<Webhook>(api.POST("/v1/webhook_endpoints/{webhook_endpoint_id}", { ...at(id), body })),
  );
}

export function useDeleteWebhook(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => unwrap<unknown>(api.DELETE("/v1/webhook_endpoints/{webhook_endpoint_id}", at(id))),
    // Its own page is about to close and must not ask for it again.
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all, exact: true }),
  });
}

export function useRotateSecret(id: string) {
  return useWebhookMutation((keepsOld: boolean) =>
    unwrap<MadeWebhook>(
      api.POST("/v1/webhook_endpoints/{webhook_endpoint_id}/rotate_secret", {
        ...at(id),
        body: { keep_old_secret_active_for_24_hours: keepsOld },
      }),
    ),
  );
}

export function useTestWebhook(id: string) {
  return useWebhookMutation((event: WebhookEvent) =>
    unwrap<WebhookTestResult>(
      api.POST("/v1/webhook_endpoints/{webhook_endpoint_id}/test", {
        ...at(id),
        body: { event_type: event },
      }),
    ),
  );
}

export function useSendAgain(id: string) {
  return useWebhookMutation((deliveryId: string) =>
    unwrap<WebhookDelivery>(
      api.POST("/v1/webhook_endpoints/{webhook_endpoint_id}/deliveries/{delivery_id}/replay", {
        params: { path: { webhook_endpoint_id: id, delivery_id: deliveryId } },
      }),
    ),
  );
}
