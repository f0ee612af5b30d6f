import type { Webhook, WebhookDelivery } from "@/api/types";
import { NOW_S } from "@/testing/fixtures";

export function makeWebhook(part: Partial<Webhook> = {}): Webhook {
  return {
    id: "whe_1",
    object: "webhook_endpoint",
    name: "Claims desk",
    url: "https://claims.clinic.example/hooks",
    event_types: ["fine_tuning.job.succeeded", "fine_tuning.job.failed"],
    signing_secret_hint: "whsec_…k3Zq",
    created_at: NOW_S - 500_000,
    updated_at: NOW_S - 90_000,
    status: "enabled",
    disabled_at: null,
    disabled_reason: null,
    failing_since: null,
    old_secret_until: null,
    num_pending: 0,
    ...part,
  };
}

export const WEBHOOKS: Webhook[] = [
  makeWebhook({ id: "whe_3", name: "Booking page", failing_since: NOW_S - 4000, num_pending: 2 }),
  makeWebhook({
    id: "whe_2",
    name: "Old intranet",
    url: "https://intranet.clinic.example/tailorbird",
    status: "disabled",
    disabled_at: NOW_S - 50_000,
    disabled_reason: "failing",
    failing_since: NOW_S - 309_200,
  }),
  makeWebhook(),
];

export function findWebhook(id: unknown): Webhook | undefined {
  return WEBHOOKS.find((webhook) => webhook.id === id);
}

function payload(id: string, type: string, subject: string): string {
  return JSON.stringify({ id, object: "event", type, created_at: NOW_S - 3600, data: { id: subject } });
}

export function makeDelivery(part: Partial<WebhookDelivery> = {}): WebhookDelivery {
  const event_id = part.event_id ?? "evt_1";
  const event_type = part.event_type ?? "fine_tuning.job.succeeded";
  return {
    id: "whd_1",
    object: "webhook_delivery",
    event_id,
    event_type,
    status: "delivered",
    is_test: false,
    created_at: NOW_S - 80_000,
    finished_at: NOW_S - 80_000,
    next_attempt_at: null,
    num_attempts: 1,
    attempts: [
      {
        id: "wha_1",
        object: "webhook_attempt",
        created_at: NOW_S - 80_000,
        status_code: 200,
        error: null,
        answer: '{"ok": true}',
        duration_ms: 182,
      },
    ],
    payload: payload(event_id, event_type, "ftjob-2"),
    ...part,
  };
}

export const DELIVERIES: WebhookDelivery[] = [
  makeDelivery({
    id: "whd_4",
    event_id: "evt_4",
    status: "pending",
    created_at: NOW_S - 4000,
    finished_at: null,
    next_attempt_at: NOW_S + 5200,
    num_attempts: 2,
    attempts: [
      {
        id: "wha_4",
        object: "webhook_attempt",
        created_at: NOW_S - 4000,
        status_code: null,
        error: "claims.clinic.example did not answer within 15 s.",
        answer: null,
        duration_ms: 15_004,
      },
      {
        id: "wha_5",
        object: "webhook_attempt",
        created_at: NOW_S - 3990,
        status_code: 503,
        error: null,
        answer: "<h1>Service Unavailable</h1>",
        duration_ms: 240,
      },
    ],
  }),
  makeDelivery({
    id: "whd_3",
    event_id: "evt_3",
    event_type: "fine_tuning.job.failed",
    is_test: true,
    created_at: NOW_S - 9000,
  }),
  makeDelivery({
    id: "whd_2",
    event_id: "evt_2",
    event_type: "fine_tuning.job.failed",
    status: "failed",
    created_at: NOW_S - 60_000,
    attempts: [
      {
        id: "wha_2",
        object: "webhook_attempt",
        created_at: NOW_S - 60_000,
        status_code: 404,
        error: null,
        answer: "Not found",
        duration_ms: 95,
      },
    ],
  }),
  makeDelivery(),
];
