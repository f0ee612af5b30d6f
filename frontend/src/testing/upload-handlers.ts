import { http, HttpResponse } from "msw";
import type { UploadPart } from "@/api/types";
import { makeFile } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";

/** A server that takes files in parts, and keeps what it got. `spoil` may answer a part instead, or throw. */
export function makeUploadServer(spoil: (number: number) => Response | undefined = () => undefined) {
  const parts: (UploadPart & { text: string })[] = [];
  const seen = { begun: 0, received: 0, completedWith: null as string[] | null, status: "pending" };
  const body = () => ({
    id: "upload_1",
    object: "upload",
    bytes: 0,
    created_at: 1,
    expires_at: 3601,
    filename: "big.csv",
    purpose: "fine-tune",
    status: seen.status,
    file: seen.status === "completed" ? makeFile() : null,
    mime_type: "text/csv",
    parts,
  });
  const handlers = [
    http.post("*/v1/uploads", () => {
      seen.begun += 1;
      seen.status = "pending";
      return HttpResponse.json(body());
    }),
    http.get("*/v1/uploads/:id", () =>
      seen.begun ? HttpResponse.json(body()) : refuse(404, "There is no such upload.", "upload_not_found"),
    ),
    http.post("*/v1/uploads/:id/parts", async ({ request }) => {
      seen.received += 1;
      const spoiled = spoil(seen.received);
      if (spoiled) return spoiled;
      const data = (await request.formData()).get("data") as File;
      const text = await data.text();
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
      const sha256 = Buffer.from(digest).toString("hex");
      const id = `part_${parts.length + 1}`;
      const part = {
        id,
        object: "upload.part" as const,
        created_at: 1,
        upload_id: "upload_1",
        bytes: text.length,
      };
      parts.push({ ...part, sha256, text });
      return HttpResponse.json({ ...part, sha256 });
    }),
    http.post("*/v1/uploads/:id/complete", async ({ request }) => {
      const sent = (await request.json()) as { part_ids: string[] };
      seen.completedWith = sent.part_ids;
      seen.status = "completed";
      return HttpResponse.json(body());
    }),
    http.post("*/v1/uploads/:id/cancel", () => {
      seen.status = "cancelled";
      return HttpResponse.json(body());
    }),
  ];
  /** The file that it put together. */
  const whole = () =>
    (seen.completedWith ?? []).map((id) => parts.find((part) => part.id === id)?.text).join("");
  return { handlers, seen, parts, whole };
}
