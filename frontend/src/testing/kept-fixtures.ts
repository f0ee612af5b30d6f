import type { KeptAnswer, KeptMessage, RequestLog } from "@/api/types";
import { BASE, NOW_S, TUNED } from "@/testing/fixtures";

export function makeKept(changes: Partial<KeptAnswer> = {}): KeptAnswer {
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: NOW_S - 600,
    model: TUNED,
    choices: [
      makeChoice(0, "Of course. Which days suit you? I will look for a free time with the same doctor."),
    ],
    usage: {
      prompt_tokens: 46,
      completion_tokens: 22,
      total_tokens: 68,
      prompt_tokens_details: { cached_tokens: 0 },
    },
    system_fingerprint: "fp_9c2f0e1a77",
    metadata: { from: "the booking page" },
    temperature: 0.3,
    top_p: 1,
    presence_penalty: 0,
    frequency_penalty: 0,
    seed: null,
    tools: null,
    tool_choice: null,
    response_format: null,
    origin: "stored",
    outcome: "succeeded",
    error_code: null,
    served_model: TUNED,
    release: null,
    api_key_id: "key_1",
    latency_ms: 2340,
    is_masked: false,
    question: "Can I move my appointment to next week?",
    expires_at: NOW_S + 29 * 86_400,
    ...changes,
  };
}

function makeChoice(index: number, content: string): KeptAnswer["choices"][number] {
  return {
    index,
    message: { role: "assistant", content, refusal: null },
    finish_reason: "stop",
    logprobs: null,
  };
}

export const KEPT: KeptAnswer[] = [
  makeKept(),
  makeKept({
    id: "chatcmpl-2",
    created: NOW_S - 7200,
    model: BASE,
    choices: [
      makeChoice(0, "Our opening hours are from 9 to 5."),
      makeChoice(1, "I do not know the opening hours of this clinic."),
    ],
    metadata: {},
    origin: "logged",
    is_masked: true,
    question: "When are you open on Saturdays, and may I bring my dog if it waits quietly in the hall?",
    expires_at: null,
  }),
];

export const KEPT_MESSAGES: KeptMessage[] = [
  makeKeptMessage(0, "system", "You answer for a clinic. Be brief."),
  makeKeptMessage(1, "user", "Can I move my appointment to next week?"),
];

function makeKeptMessage(at: number, role: string, content: string): KeptMessage {
  return { id: `chatcmpl-1-${at}`, role, content, name: null, content_parts: null, refusal: null };
}

export function findKept(id: unknown): KeptAnswer {
  return KEPT.find((kept) => kept.id === id) ?? makeKept();
}

export const REQUEST_LOG: RequestLog = {
  object: "request_log",
  is_on: false,
  retention_days: 30,
  is_masked: true,
};
