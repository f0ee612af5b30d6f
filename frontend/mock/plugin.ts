import { Readable } from "node:stream";
import type { IncomingMessage, ServerResponse } from "node:http";
import { getResponse } from "msw";
import type { Connect, Plugin } from "vite";

/** Serves /v1 from the same handlers the tests use, so that pages can be drawn without a backend. */
export function mockApi(): Plugin {
  return {
    name: "tailorbird-mock-api",
    configureServer(server) {
      const answer = async (
        incoming: Connect.IncomingMessage,
        outgoing: ServerResponse,
        next: Connect.NextFunction,
      ) => {
        if (!incoming.url?.startsWith("/v1/")) {
          next();
          return;
        }
        const { handlers } = (await server.ssrLoadModule("/src/testing/handlers.ts")) as {
          handlers: Parameters<typeof getResponse>[0];
        };
        const response = await getResponse(handlers, toRequest(incoming));
        if (!response) {
          next();
          return;
        }
        outgoing.writeHead(response.status, Object.fromEntries(response.headers));
        if (!response.body) return void outgoing.end();
        const reader = response.body.getReader();
        incoming.on("close", () => void reader.cancel().catch(() => undefined));
        for (let part = await reader.read(); !part.done; part = await reader.read())
          outgoing.write(part.value);
        outgoing.end();
      };
      server.middlewares.use((incoming, outgoing, next) => void answer(incoming, outgoing, next).catch(next));
    },
  };
}

function toRequest(incoming: IncomingMessage): Request {
  const hasBody = incoming.method !== "GET" && incoming.method !== "HEAD";
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === "string" && name !== "connection") headers.set(name, value);
  }
  return new Request(`http://${incoming.headers.host ?? "localhost"}${incoming.url ?? "/"}`, {
    method: incoming.method ?? "GET",
    headers,
    ...(hasBody ? { body: Readable.toWeb(incoming) as ReadableStream, duplex: "half" } : {}),
  });
}
