import { http, HttpResponse } from "msw";
import type { Webhook } from "@/api/types";
import { listOf } from "@/testing/fixtures";
import { DELIVERIES, findWebhook, makeDelivery, makeWebhook, WEBHOOKS } from "@/testing/webhook-fixtures";

const SECRET = "whsec_b25seSBzaG93biB0aGlzIG9uY2UsIHRoZW4gZ29uZQ==";

function notFound() {
  const message = "There is no such webhook in this workspace.";
  return HttpResponse.json(
    { error: { message, type: "invalid_request_error", param: null, code: "webhook_endpoint_not_found" } },
    { status: 404 },
  );
}

export const webhookHandlers = [
  http.get("*/v1/webhook_endpoints", () => HttpResponse.json(listOf(WEBHOOKS))),
  http.post("*/v1/webhook_endpoints", async ({ request }) => {
    const body = (await request.json()) as Partial<Webhook>;
    return HttpResponse.json({ ...makeWebhook(body), signing_secret: SECRET });
  }),
  http.get("*/v1/webhook_endpoints/:id", ({ params }) => {
    const found = findWebhook(params.id);
    return found ? HttpResponse.json(found) : notFound();
  }),
  http.post("*/v1/webhook_endpoints/:id", async ({ params, request }) => {
    const { disabled, ...rest } = (await request.json()) as Partial<Webhook> & { disabled?: boolean };
    return HttpResponse.json({
      ...findWebhook(params.id),
      ...rest,
      ...(disabled === undefined ? {} : { status: disabled ? "disabled" : "enabled" }),
    });
  }),
  http.delete("*/v1/webhook_endpoints/:id", ({ params }) =>
    HttpResponse.json({ id: params.id, object: "webhook_endpoint.deleted", deleted: true }),
  ),
  http.post("*/v1/webhook_endpoints/:id/rotate_secret", ({ params }) =>
    HttpResponse.json({ ...findWebhook(params.id), signing_secret: SECRET }),
  ),
  http.post("*/v1/webhook_endpoints/:id/test", async ({ params, request }) => {
    const { event_type } = (await request.json()) as { event_type: string };
    return HttpResponse.json({
      object: "webhook_endpoint.test",
      webhook_endpoint_id: params.id,
      event_type,
      success: true,
      status_code: 204,
      delivery_id: "whd_9",
      duration_ms: 121,
      answer: null,
    });
  }),
  http.get("*/v1/webhook_endpoints/:id/deliveries", ({ params, request }) => {
    const status = new URL(request.url).searchParams.get("status");
    const log = params.id === "whe_2" ? DELIVERIES.slice(2) : DELIVERIES;
    return HttpResponse.json(listOf(log.filter((delivery) => status === null || delivery.status === status)));
  }),
  http.post("*/v1/webhook_endpoints/:id/deliveries/:delivery/replay", ({ params }) =>
    HttpResponse.json(makeDelivery({ id: String(params.delivery), status: "pending", finished_at: null })),
  ),
];
