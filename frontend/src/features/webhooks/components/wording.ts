import type { Webhook, WebhookDelivery, WebhookEvent, WebhookTry } from "@/api/types";
import type { Tone } from "@/components/ui/status";
import { duration } from "@/lib/format";

export const EVENTS: Record<WebhookEvent, string> = {
  "fine_tuning.job.succeeded": "A model is ready",
  "fine_tuning.job.failed": "A run failed",
  "fine_tuning.job.cancelled": "A run was stopped",
};
export const ALL_EVENTS = Object.keys(EVENTS) as WebhookEvent[];

interface Words {
  tone: Tone;
  label: string;
}

export function webhookWords(webhook: Webhook): Words {
  switch (webhook.disabled_reason) {
    case "by_admin":
      return { tone: "paused", label: "Off" };
    case "gone":
      return { tone: "bad", label: "Switched off: it is gone" };
    case "failing":
      return { tone: "bad", label: "Switched off: nothing arrived" };
    default:
      return webhook.failing_since === null
        ? { tone: "good", label: "On" }
        : { tone: "warn", label: "On, but calls fail" };
  }
}

export function deliveryWords(delivery: WebhookDelivery): Words {
  if (delivery.status === "delivered") return { tone: "good", label: "Arrived" };
  if (delivery.status === "failed") return { tone: "bad", label: "Did not arrive" };
  return delivery.num_attempts === 0
    ? { tone: "busy", label: "On its way" }
    : { tone: "warn", label: "Will be tried again" };
}

/** "Answered 500 in 0.2 seconds", or why there was no answer. */
export function tryWords(attempt: WebhookTry): string {
  if (attempt.status_code === null) return attempt.error ?? "No answer.";
  return `Answered ${attempt.status_code}, ${meaning(attempt.status_code)}, after ${spell(attempt.duration_ms)}.`;
}

function spell(ms: number): string {
  return ms < 1000 ? `${ms} ms` : duration(ms / 1000);
}

export function meaning(status: number): string {
  if (status < 200) return "which is no end";
  if (status < 300) return "which is fine";
  if (status < 400) return "a redirect, which is not followed";
  if (status === 401 || status === 403) return "so it did not let us in";
  if (status === 404) return "so there is nothing at this address";
  if (status === 410) return "so it wants no more calls";
  if (status === 429) return "so it wants fewer calls";
  return status < 500 ? "so it did not accept it" : "so something broke over there";
}
