import { writeHeaders } from "@/api/client";
import { toApiError, unreachable, type ErrorBody, ApiError } from "@/api/errors";
import type { Message } from "@/api/types";
import { readEventStream } from "@/lib/event-stream";

export interface ChatRequest {
  model: string;
  messages: Message[];
  temperature?: number;
  max_tokens?: number;
  /** Keeps the question and the answer among the kept answers. */
  store?: boolean;
}

interface Chunk {
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  error?: ErrorBody;
}

/** Yields the answer piece by piece until the model has finished or `signal` stops it. */
export async function* streamChat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<string> {
  const response = await post(request, signal);
  if (!response.ok || !response.body) {
    const payload: unknown = await response.json().catch(() => null);
    throw toApiError(response.status, payload, response.headers.get("x-request-id"));
  }
  for await (const event of readEventStream(response.body)) {
    if (event.data === "[DONE]") return;
    const chunk = JSON.parse(event.data) as Chunk;
    if (chunk.error) throw new ApiError(502, chunk.error);
    const piece = chunk.choices?.[0]?.delta?.content;
    if (piece) yield piece;
  }
}

async function post(request: ChatRequest, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream", ...writeHeaders() },
      body: JSON.stringify({ ...request, stream: true }),
      signal,
    });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw unreachable();
  }
}
