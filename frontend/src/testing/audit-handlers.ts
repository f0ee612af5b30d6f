import { http, HttpResponse } from "msw";
import type { AuditEvent } from "@/api/types";
import { ALL_AUDIT_EVENTS, AUDIT_EVENTS, makeChain } from "@/testing/audit-fixtures";
import { listOf } from "@/testing/fixtures";

function matching(events: AuditEvent[], url: string): AuditEvent[] {
  const asked = new URL(url).searchParams;
  const [q, action, actor] = ["q", "action", "actor"].map((name) => asked.get(name) ?? "");
  const after = events.findIndex((event) => event.id === asked.get("after"));
  return events.slice(after + 1).filter(
    (event) =>
      JSON.stringify(event)
        .toLowerCase()
        .includes((q ?? "").toLowerCase()) &&
      event.action.startsWith((action ?? "").replace("*", "")) &&
      (!actor || [event.actor.user_id, event.actor.api_key_id].includes(actor)),
  );
}

export const auditHandlers = [
  http.get("*/v1/audit_events", ({ request }) =>
    HttpResponse.json(listOf(matching(AUDIT_EVENTS, request.url))),
  ),
  http.get("*/v1/audit_events/chain", () => HttpResponse.json(makeChain())),
  http.get("*/v1/admin/audit_events", ({ request }) =>
    HttpResponse.json(listOf(matching(ALL_AUDIT_EVENTS, request.url))),
  ),
  http.get("*/v1/admin/audit_events/chain", () =>
    HttpResponse.json(makeChain({ id: "installation", num_checked: 12, sequence: 12 })),
  ),
];
