import { http, HttpResponse } from "msw";
import { JOBS, LOG, makeJobDetails, makeWorker, QUEUES, TOKENS, WORKERS } from "@/testing/admin-fixtures";
import { MODEL_SERVERS } from "@/testing/model-server-fixtures";
import { listOf } from "@/testing/fixtures";

function findWorker(id: unknown) {
  return WORKERS.find((worker) => worker.id === id) ?? makeWorker({ id: String(id) });
}

export const adminHandlers = [
  http.get("*/v1/admin/queues", () => HttpResponse.json({ object: "list", data: QUEUES })),
  http.patch("*/v1/admin/queues/:queue/workspaces/:id", ({ params }) =>
    HttpResponse.json(QUEUES.find((queue) => queue.name === params.queue)),
  ),
  http.get("*/v1/admin/workers", () => HttpResponse.json({ object: "list", data: WORKERS })),
  http.get("*/v1/admin/model_servers", () => HttpResponse.json(MODEL_SERVERS)),
  http.post("*/v1/admin/workers/:id/drain", ({ params }) =>
    HttpResponse.json({ ...findWorker(params.id), status: "draining" }),
  ),
  http.post("*/v1/admin/workers/:id/undrain", ({ params }) => HttpResponse.json(findWorker(params.id))),
  http.get("*/v1/admin/jobs", ({ request }) => {
    const query = new URL(request.url).searchParams;
    const is = (name: string, value: string) => !query.get(name) || query.get(name) === value;
    return HttpResponse.json(
      listOf(
        JOBS.filter(
          (job) => is("state", job.state) && is("queue", job.queue) && is("workspace_id", job.workspace.id),
        ),
        query.get("state") === null && query.get("after") === null,
      ),
    );
  }),
  http.get("*/v1/admin/jobs/:id", ({ params }) => HttpResponse.json(makeJobDetails(String(params.id)))),
  http.get("*/v1/admin/jobs/:id/logs", ({ params, request }) => {
    const after = Number(new URL(request.url).searchParams.get("after_seq"));
    const data = params.id === "job_2" ? [] : LOG.filter((chunk) => chunk.seq > after);
    return HttpResponse.json({ object: "list", data, has_more: false });
  }),
  http.post("*/v1/admin/jobs/:id/:action", ({ params }) =>
    HttpResponse.json(makeJobDetails(String(params.id))),
  ),
  http.get("*/v1/admin/worker_tokens", () => HttpResponse.json({ object: "list", data: TOKENS })),
  http.post("*/v1/admin/worker_tokens", async ({ request }) => {
    const { name } = (await request.json()) as { name: string };
    const command =
      "TAILORBIRD_WORKER_TOKEN=wtk_only_once_0123456789 tailorbird worker --queue gpu \\\n  --database postgresql://db.example:5432/tailorbird --valkey redis://valkey.example:6379 --s3 http://s3.example:8333";
    return HttpResponse.json({
      ...TOKENS[0],
      id: "wtk_4",
      name,
      num_workers: 0,
      last_used_at: null,
      token: "wtk_only_once_0123456789",
      command,
    });
  }),
  http.delete("*/v1/admin/worker_tokens/:id", () => HttpResponse.json(TOKENS[2])),
];
