import type { AuditChain, AuditEvent } from "@/api/types";
import { NOW_S } from "@/testing/fixtures";

const HASH = "9f2c4e1b7a6d08355c1e9b0f4d7a2c68e3b1f5097d4c8a26be1f3075c9d84a12";

function makeAuditEvent(overrides: Partial<AuditEvent> = {}): AuditEvent {
  return {
    id: "aud_1",
    object: "audit_event",
    created_at: NOW_S - 3600,
    workspace_id: "ws_1",
    actor: { user_id: "user_1", api_key_id: null, name: "Maya Lindqvist" },
    action: "api_key.created",
    target_id: "key_1",
    details: { name: "Booking system", role: "member" },
    request_id: "req_01m8hf",
    client_address: "203.0.113.77",
    user_agent: "Firefox",
    sequence: 7,
    hash: HASH,
    ...overrides,
  };
}

const KEY = { user_id: "user_2", api_key_id: "key_1", name: "Jonas Weber (Booking system)" };

export const AUDIT_EVENTS: AuditEvent[] = [
  makeAuditEvent({
    id: "aud_7",
    sequence: 7,
    created_at: NOW_S - 240,
    action: "run.created",
    target_id: "ftjob-1",
    actor: KEY,
    user_agent: "openai-python",
    details: { model: "smollm2-135m-instruct", recipe: "balanced" },
  }),
  makeAuditEvent({ id: "aud_6", sequence: 6 }),
  makeAuditEvent({
    id: "aud_5",
    sequence: 5,
    created_at: NOW_S - 7200,
    action: "member.role_changed",
    target_id: "user_3",
    details: { from: "viewer", to: "member" },
  }),
  makeAuditEvent({
    id: "aud_4",
    sequence: 4,
    created_at: NOW_S - 86_400,
    action: "file.uploaded",
    target_id: "file-1",
    actor: KEY,
    user_agent: "openai-python",
    details: { num_bytes: 48_211, sha256: HASH },
  }),
  makeAuditEvent({
    id: "aud_3",
    sequence: 3,
    created_at: NOW_S - 2 * 86_400,
    action: "audit.exported",
    target_id: "ws_1",
    details: { format: "csv" },
  }),
  makeAuditEvent({
    id: "aud_2",
    sequence: 2,
    created_at: NOW_S - 9 * 86_400,
    action: "admin.limit_changed",
    target_id: "ws_1",
    actor: { user_id: "user_9", api_key_id: null, name: "Ines Roth" },
    details: { queue: "gpu", max_running: null },
  }),
  makeAuditEvent({
    id: "aud_1",
    sequence: 1,
    created_at: NOW_S - 21 * 86_400,
    action: "user.signed_in",
    target_id: "user_1",
    details: {},
  }),
];

export const ALL_AUDIT_EVENTS: AuditEvent[] = [
  makeAuditEvent({
    id: "aud_9",
    sequence: 12,
    created_at: NOW_S - 60,
    workspace_id: null,
    action: "admin.worker_drained",
    target_id: "w1",
    actor: { user_id: "user_9", api_key_id: null, name: "Ines Roth" },
    details: { mode: "finish", hostname: "gpu-1" },
  }),
  ...AUDIT_EVENTS,
];

export function makeChain(overrides: Partial<AuditChain> = {}): AuditChain {
  return {
    object: "audit_chain",
    id: "ws_1",
    is_unbroken: true,
    num_checked: 7,
    first_sequence: 1,
    since: NOW_S - 21 * 86_400,
    sequence: 7,
    hash: HASH,
    first_break: null,
    ...overrides,
  };
}
