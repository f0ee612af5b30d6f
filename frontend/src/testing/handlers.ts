import type { Mapping } from "@/api/types";
import { delay, http, HttpResponse } from "msw";
import { adminHandlers } from "@/testing/admin-handlers";
import { accessHandlers } from "@/testing/access-handlers";
import { ENTRIES, PRICES, STORAGE, USAGE } from "@/testing/account-fixtures";
import {
  listOf,
  makeDataset,
  makeEstimates,
  makeFile,
  makeMetrics,
  makeRun,
  makeSession,
  makeVersion,
  NOW_S,
  SAMPLES,
} from "@/testing/fixtures";
import { erasureHandlers } from "@/testing/erasure-handlers";
import { exportHandlers } from "@/testing/export-handlers";
import { importHandlers, makeBrought } from "@/testing/import-handlers";
import { findKept, KEPT, KEPT_MESSAGES, REQUEST_LOG } from "@/testing/kept-fixtures";
import { ALIAS_HANDLERS } from "@/testing/alias-handlers";
import { MODELS } from "@/testing/model-fixtures";
import { trafficOf } from "@/testing/traffic-fixtures";
import { makeBook, makeBookPreview, makePreview } from "@/testing/preview-fixtures";
import { preferenceHandlers } from "@/testing/preference-handlers";
import { rowHandlers } from "@/testing/row-handlers";
import { signInHandlers } from "@/testing/sign-in-handlers";
import { DATASETS_OF_KINDS, findDataset } from "@/testing/kind-fixtures";
import { DIFF, HISTORY, LEARNER } from "@/testing/version-fixtures";
import { SCALING_ESTIMATE, studiesOf } from "@/testing/scaling-fixtures";
import { EVENTS, findRun, REHEARSAL, RUNS, WAITING } from "@/testing/run-fixtures";
import { auditHandlers } from "@/testing/audit-handlers";
import { webhookHandlers } from "@/testing/webhook-handlers";

export function refuse(status: number, message: string, code: string, details: Record<string, unknown> = {}) {
  const type = status === 401 ? "authentication_error" : "invalid_request_error";
  return HttpResponse.json({ error: { message, type, param: null, code, details } }, { status });
}

const ANSWER =
  "Of course. Tell me which days suit you, and I will look for a free time with the same doctor.";
const BASE_ANSWER =
  "I'm sorry, but I cannot access your personal calendar. You can contact the office of your provider to make a change to an appointment.";

function* chunks(text: string) {
  for (const word of text.split(/(?<= )/)) {
    yield `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: word }, finish_reason: null }] })}\n\n`;
  }
  yield "data: [DONE]\n\n";
}

export function eventStream(parts: Iterable<string>, pauseMs = 0) {
  const encoder = new TextEncoder();
  const iterator = parts[Symbol.iterator]();
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (pauseMs > 0) await delay(pauseMs);
      const next = iterator.next();
      if (next.done) controller.close();
      else controller.enqueue(encoder.encode(next.value));
    },
  });
  return new HttpResponse(stream, { headers: { "content-type": "text/event-stream" } });
}

function* liveRun(id: string) {
  const run = findRun(id);
  const metrics = makeMetrics(242).slice(74);
  yield "retry: 2000\n\n";
  for (const metric of metrics) {
    const fraction = metric.step / 242;
    const progress = {
      step: metric.step,
      total_steps: 242,
      fraction,
      seconds_left: (242 - metric.step) * 5.7,
    };
    yield `event: metrics\nid: ${metric.step}\ndata: ${JSON.stringify(metric)}\n\n`;
    yield `event: job\ndata: ${JSON.stringify({ ...run, progress })}\n\n`;
  }
}

function* quietly() {
  yield "retry: 2000\n\n";
  for (;;) yield ": nothing new\n\n";
}

export const handlers = [
  http.get("*/v1/auth/session", () => HttpResponse.json(makeSession())),
  http.post("*/v1/auth/sign_in", () => HttpResponse.json(makeSession())),
  http.post("*/v1/auth/sign_out", () => HttpResponse.json({})),
  http.get("*/v1/samples", () => HttpResponse.json(listOf(SAMPLES))),
  http.post("*/v1/samples/:id", () => HttpResponse.json(makeFile({ filename: "reviews.csv" }))),
  http.post("*/v1/files", () => HttpResponse.json(makeFile())),
  http.get("*/v1/files/:id", ({ params }) =>
    HttpResponse.json(params.id === "file-book" ? makeBook() : makeFile()),
  ),
  http.post("*/v1/files/:id/preview", async ({ params, request }) => {
    const { mapping } = (await request.json()) as { mapping: Partial<Mapping> | null };
    if (params.id !== "file-book") return HttpResponse.json(makePreview(mapping));
    if (mapping?.sheet === "Read me") {
      return refuse(
        400,
        "On the sheet “Read me”: There is one column; an example needs a question and an answer.",
        "too_few_columns",
      );
    }
    return HttpResponse.json(makeBookPreview(mapping));
  }),
  http.delete("*/v1/column_mappings/:id", ({ params }) =>
    HttpResponse.json({ id: params.id, object: "column_mapping", deleted: true }),
  ),
  http.get("*/v1/datasets", () =>
    HttpResponse.json(
      listOf([
        makeDataset(),
        makeDataset({
          id: "ds_2",
          name: "Reviews",
          created_at: NOW_S - 90_000,
          latest_version: makeVersion({ id: "dsv_2", dataset_id: "ds_2", num_rows: 600, num_problems: 0 }),
        }),
        ...DATASETS_OF_KINDS,
      ]),
    ),
  ),
  http.post("*/v1/datasets", () => HttpResponse.json(makeDataset())),
  http.get("*/v1/datasets/:id", ({ params }) => HttpResponse.json(findDataset(params.id) ?? makeDataset())),
  http.patch("*/v1/datasets/:id", () => HttpResponse.json(makeDataset())),
  http.delete("*/v1/datasets/:id", () => HttpResponse.json({ id: "ds_1", deleted: true })),
  http.post("*/v1/datasets/:id/restore", () => HttpResponse.json(makeDataset())),
  http.post("*/v1/datasets/:id/versions", () => HttpResponse.json(makeVersion({ number: 2 }))),
  http.get("*/v1/datasets/:id/versions", () => HttpResponse.json(listOf(HISTORY))),
  http.get("*/v1/datasets/:id/lineage", () => HttpResponse.json(listOf([LEARNER]))),
  http.get("*/v1/dataset_versions/:id/scaling_studies", () => HttpResponse.json(studiesOf([]))),
  http.get("*/v1/dataset_versions/:id/scaling_estimate", () => HttpResponse.json(SCALING_ESTIMATE)),
  http.get("*/v1/dataset_versions/:id/diff", () => HttpResponse.json(DIFF)),
  http.post("*/v1/dataset_versions/:id/changes", () =>
    HttpResponse.json(makeVersion({ id: "dsv_9", number: 4, status: "validating" })),
  ),
  http.post("*/v1/dataset_versions/:id/findings/:code/keep", async ({ params, request }) => {
    const { ground } = (await request.json()) as { ground: string };
    const by = { kept_by_name: "Mara Lindqvist", kept_at: NOW_S };
    return HttpResponse.json({
      object: "kept_finding",
      version_id: params.id,
      code: params.code,
      ground,
      ...by,
    });
  }),
  http.delete("*/v1/dataset_versions/:id/findings/:code/keep", ({ params }) =>
    HttpResponse.json({ object: "kept_finding", version_id: params.id, code: params.code, deleted: true }),
  ),
  http.get("*/v1/dataset_versions/:id", () => HttpResponse.json(makeVersion())),
  ...rowHandlers,
  http.post("*/v1/fine_tuning/estimates", () => HttpResponse.json(makeEstimates())),
  http.post("*/v1/fine_tuning/jobs/dry_run", () => HttpResponse.json(REHEARSAL)),
  http.get("*/v1/fine_tuning/jobs", () => HttpResponse.json(listOf(RUNS))),
  http.post("*/v1/fine_tuning/jobs", () =>
    HttpResponse.json(makeRun({ status: "queued", stage: null, progress: null })),
  ),
  http.get("*/v1/fine_tuning/jobs/:id", ({ params }) => HttpResponse.json(findRun(params.id))),
  http.post("*/v1/fine_tuning/jobs/:id/cancel", ({ params }) =>
    HttpResponse.json({ ...findRun(params.id), cancel_requested: true }),
  ),
  http.post("*/v1/fine_tuning/jobs/:id/pause", ({ params }) =>
    HttpResponse.json({ ...findRun(params.id), pause_requested: true }),
  ),
  http.post("*/v1/fine_tuning/jobs/:id/resume", ({ params }) =>
    HttpResponse.json({ ...findRun(params.id), status: "queued", failure: null, queue_position: 1 }),
  ),
  http.post("*/v1/fine_tuning/jobs/:id/clone", () => HttpResponse.json(findRun("ftjob-4"))),
  http.post("*/v1/fine_tuning/jobs/:id/move", ({ params }) => HttpResponse.json(findRun(params.id))),
  http.patch("*/v1/fine_tuning/jobs/:id", async ({ params, request }) =>
    HttpResponse.json({ ...findRun(params.id), ...((await request.json()) as object) }),
  ),
  http.get("*/v1/fine_tuning/queue", () => HttpResponse.json(listOf(WAITING))),
  http.get("*/v1/fine_tuning/jobs/:id/events", ({ params }) =>
    HttpResponse.json(listOf(params.id === "ftjob-1" ? EVENTS : EVENTS.slice(2))),
  ),
  http.get("*/v1/fine_tuning/jobs/:id/metrics", ({ params, request }) => {
    const query = new URL(request.url).searchParams;
    const [from, to] = [Number(query.get("from_step") ?? 0), Number(query.get("to_step") ?? Infinity)];
    const { status, progress } = findRun(params.id);
    const all = status === "queued" ? [] : makeMetrics(progress?.step ?? 242);
    const data = all.filter((metric) => metric.step >= from && metric.step <= to);
    return HttpResponse.json({ object: "list", data, num_steps: data.length, is_downsampled: false });
  }),
  http.get("*/v1/fine_tuning/jobs/:id/stream", ({ params }) =>
    eventStream(params.id === "ftjob-1" ? liveRun("ftjob-1") : quietly(), 1200),
  ),
  http.get("*/v1/fine_tuning/checkpoints/:model/permissions", () => HttpResponse.json(listOf([]))),
  http.get("*/v1/models", () => HttpResponse.json({ object: "list", data: MODELS })),
  http.get("*/v1/models/:model/traffic", ({ params, request }) =>
    HttpResponse.json(
      trafficOf(
        decodeURIComponent(String(params.model)),
        Number(new URL(request.url).searchParams.get("days")),
      ),
    ),
  ),
  http.get("*/v1/models/:model", ({ params }) => {
    const found = [...MODELS, makeBrought()].find(
      (model) => model.id === decodeURIComponent(String(params.model)),
    );
    return found ? HttpResponse.json(found) : refuse(404, "There is no such model.", "model_not_found");
  }),
  http.delete("*/v1/models/:model", () => HttpResponse.json({ deleted: true })),
  http.post("*/v1/models/:model/restore", () => HttpResponse.json(MODELS[0])),
  ...ALIAS_HANDLERS,
  ...erasureHandlers,
  ...exportHandlers,
  ...importHandlers,
  ...preferenceHandlers,
  http.get("*/v1/request_log", () => HttpResponse.json(REQUEST_LOG)),
  http.patch("*/v1/request_log", async ({ request }) =>
    HttpResponse.json({ ...REQUEST_LOG, ...((await request.json()) as object) }),
  ),
  http.post("*/v1/request_log/dataset", () => HttpResponse.json(makeDataset())),
  http.get("*/v1/chat/completions", ({ request }) => {
    const model = new URL(request.url).searchParams.get("model");
    return HttpResponse.json(listOf(KEPT.filter((kept) => !model || kept.model === model)));
  }),
  http.get("*/v1/chat/completions/:id", ({ params }) => HttpResponse.json(findKept(params.id))),
  http.get("*/v1/chat/completions/:id/messages", () => HttpResponse.json(listOf(KEPT_MESSAGES))),
  http.delete("*/v1/chat/completions/:id", ({ params }) =>
    HttpResponse.json({ id: params.id, object: "chat.completion.deleted", deleted: true }),
  ),
  http.post("*/v1/chat/completions", async ({ request }) => {
    const { model } = (await request.json()) as { model: string };
    return eventStream(
      chunks(model.startsWith("ft:") ? ANSWER : BASE_ANSWER),
      model.startsWith("ft:") ? 15 : 20,
    );
  }),
  http.get("*/v1/usage/summary", () => HttpResponse.json(USAGE)),
  http.get("*/v1/usage/storage", () => HttpResponse.json(STORAGE)),
  http.get("*/v1/usage/entries", () => HttpResponse.json(listOf(ENTRIES))),
  http.get("*/v1/prices", () => HttpResponse.json(listOf(PRICES))),
  ...accessHandlers,
  ...signInHandlers,
  ...adminHandlers,
  ...auditHandlers,
  ...webhookHandlers,
];
