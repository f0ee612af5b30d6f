import createClient, { type Middleware } from "openapi-fetch";
import { ApiError, toApiError, unreachable } from "@/api/errors";
import type { paths } from "@/api/schema.gen";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
let csrfToken: string | null = null;

export function rememberCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** The header that proves a write comes from our own page. */
export function csrfHeaders(): Record<string, string> {
  return csrfToken ? { "x-csrf-token": csrfToken } : {};
}

const protectWrites: Middleware = {
  onRequest({ request }) {
    if (!SAFE_METHODS.has(request.method)) {
      for (const [name, value] of Object.entries(csrfHeaders())) request.headers.set(name, value);
    }
    return request;
  },
};

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  fetch: (request: Request) => globalThis.fetch(request),
});
api.use(protectWrites);

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
