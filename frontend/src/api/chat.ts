import { writeHeaders } from "@/api/client";
import { toApiError, unreachable, type ErrorBody, ApiError } from "@/api/errors";
import { readEventStream } from "@/lib/event-stream";

export interface ChatRequest {
  model: string;
  messages: { role: "system" | "user" | "assistant"; content: string }[];
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  seed?: number;
  stop?: string[];
  /** Keeps the question and the answer among the kept answers. */
  store?: boolean;
}

/** Which model answered for a stable name. */
export interface ServedBy {
  model: string;
  release: number;
  profile: number | null;
}

export interface ChatPiece {
  text: string;
  servedBy: ServedBy | null;
}

interface Chunk {
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  served_by?: ServedBy;
  error?: ErrorBody;
}

/** Yields the answer piece by piece until the model has finished or `signal` stops it. */
export async function* streamChat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatPiece> {
  const response = await post(request, signal);
  if (!response.ok || !response.body) {
    const payload: unknown = await response.json().catch(() => null);
    throw toApiError(response.status, payload, response.headers.get("x-request-id"));
  }
  for await (const event of readEventStream(response.body)) {
    if (event.data === "[DONE]") return;
    const chunk = JSON.parse(event.data) as Chunk;
    if (chunk.error) throw new ApiError(502, chunk.error);
    const text = chunk.choices?.[0]?.delta?.content;
    if (text) yield { text, servedBy: chunk.served_by ?? null };
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
