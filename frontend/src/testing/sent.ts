import { http, HttpResponse } from "msw";
import { server } from "@/testing/setup";

/** Notes what is sent to an address, and answers. */
export function sent(method: "post" | "patch" | "delete", path: string, answer: object = {}) {
  const found: { body: unknown; token: string | null }[] = [];
  server.use(
    http[method](path, async ({ request }) => {
      const text = await request.text();
      found.push({
        body: text === "" ? null : (JSON.parse(text) as unknown),
        token: request.headers.get("x-csrf-token"),
      });
      return HttpResponse.json(answer);
    }),
  );
  return found;
}
