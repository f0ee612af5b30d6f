import createClient, { type Middleware } from "openapi-fetch";
import { ApiError, toApiError, unreachable } from "@/api/errors";
import type { paths } from "@/api/schema.gen";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
let csrfToken: string | null = null;
let workspaceId: string | null = null;

export function rememberCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** The workspace that this page shows. Each tab names its own, so that none acts where another has gone. */
export function rememberWorkspace(id: string | null): void {
  workspaceId = id;
}

function workspaceHeaders(): Record<string, string> {
  return workspaceId ? { "openai-project": workspaceId } : {};
}

/** What a write carries: the proof that it comes from our own page, and where it belongs. */
export function writeHeaders(): Record<string, string> {
  return { ...workspaceHeaders(), ...(csrfToken ? { "x-csrf-token": csrfToken } : {}) };
}

const ownHeaders: Middleware = {
  onRequest({ request }) {
    const headers = SAFE_METHODS.has(request.method) ? workspaceHeaders() : writeHeaders();
    for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
    return request;
  },
};

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  fetch: (request: Request) => globalThis.fetch(request),
});
api.use(ownHeaders);

interface Reply<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a reply, or an ApiError; also for a server that cannot be reached. */
export async function unwrap<T>(call: Promise<Reply<T>>): Promise<T> {
  let reply: Reply<T>;
  try {
    reply = await call;
  } catch (cause) {
    if (cause instanceof ApiError || (cause instanceof DOMException && cause.name === "AbortError"))
      throw cause;
    throw unreachable();
  }
  if (reply.error !== undefined || !reply.response.ok) {
    throw toApiError(reply.response.status, reply.error, reply.response.headers.get("x-request-id"));
  }
  return reply.data as T;
}
