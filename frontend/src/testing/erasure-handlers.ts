import { http, HttpResponse } from "msw";
import type { Erasure } from "@/api/types";
import { listOf, NOW_S, TUNED } from "@/testing/fixtures";

export function makeErasure(changes: Partial<Erasure> = {}): Erasure {
  return {
    id: "erase_1",
    object: "erasure",
    status: "found",
    created_at: NOW_S - 600,
    created_by_name: "Mara Lindqvist",
    confirmed_at: null,
    confirmed_by_name: null,
    finished_at: null,
    job_id: null,
    num_terms: 2,
    num_rows: 3,
    num_rows_erased: 0,
    datasets: [
      {
        id: "ds_1",
        name: "Front desk answers",
        is_deleted: false,
        versions: [
          { id: "dsv_1", number: 1, num_rows: 3, is_done: false },
          { id: "dsv_2", number: 2, num_rows: 0, is_done: false },
        ],
      },
    ],
    files: [{ id: "file-1", filename: "front-desk.csv" }],
    models: [
      { model: TUNED, name: "Front desk", fine_tuning_job_id: "ftjob-2", is_deleted: false },
      { model: "ft:old", name: null, fine_tuning_job_id: "ftjob-3", is_deleted: true },
    ],
    num_completions: 1,
    num_shadow_answers: 0,
    num_preferences: 1,
    num_drafts: 1,
    num_grounds: 1,
    num_runs: 2,
    num_model_names: 1,
    num_uploads: 0,
    num_notes: 1,
    num_job_texts: 5,
    num_webhook_answers: 1,
    num_access_names: 1,
    by_hand: [
      { kind: "dataset_name", id: "ds_3", name: "Letters of Ada Lovelace" },
      { kind: "alias_name", id: "als_2", name: "ask-ada-lovelace" },
      { kind: "model_id", id: TUNED, name: TUNED },
      { kind: "webhook_address", id: "whe_1", name: "Front desk" },
      { kind: "invitation", id: "inv_1", name: "ada@example.com" },
      { kind: "workspace_name", id: "ws_1", name: "Ada Lovelace and sons" },
      { kind: "prompt_profile", id: "prf_1", name: "support-bot, profile 1" },
      {
        kind: "imported_model",
        id: "ft:smollm2-135m-instruct:clinic:From-the-lab:4xq2m8za",
        name: "From the lab",
      },
    ],
    examples: [
      {
        version_id: "dsv_1",
        number: 7,
        content: {
          messages: [
            { role: "user", content: "I am Ada Lovelace. Can I come on Friday?" },
            { role: "assistant", content: "You can, at nine." },
          ],
          tools: null,
          chosen: null,
          rejected: null,
          text: null,
        },
      },
    ],
    error: null,
    ...changes,
  };
}

const OVER = {
  confirmed_at: NOW_S - 500,
  confirmed_by_name: "Mara Lindqvist",
  job_id: "job_9",
  examples: [],
};

export const ERASURES: Erasure[] = [
  makeErasure(),
  makeErasure({ ...OVER, id: "erase_2", status: "erasing", num_rows_erased: 3 }),
  makeErasure({ ...OVER, id: "erase_3", status: "erased", num_rows_erased: 3, finished_at: NOW_S - 400 }),
  makeErasure({
    ...OVER,
    id: "erase_4",
    status: "failed",
    error: { code: "disk_full", message: "The disk was full." },
  }),
  makeErasure({
    id: "erase_5",
    num_rows: 0,
    datasets: [],
    files: [],
    models: [],
    num_completions: 0,
    num_preferences: 0,
    num_drafts: 0,
    num_grounds: 0,
    num_runs: 0,
    num_model_names: 0,
    num_notes: 0,
    num_job_texts: 0,
    num_webhook_answers: 0,
    num_access_names: 0,
    by_hand: [],
    examples: [],
  }),
];

function find(id: unknown): Erasure {
  return ERASURES.find((erasure) => erasure.id === id) ?? makeErasure();
}

export const erasureHandlers = [
  http.get("*/v1/erasures", () =>
    HttpResponse.json(listOf(ERASURES.map((erasure) => ({ ...erasure, examples: [] })))),
  ),
  http.post("*/v1/erasures", () => HttpResponse.json(makeErasure())),
  http.get("*/v1/erasures/:id", ({ params }) => HttpResponse.json(find(params.id))),
  http.post("*/v1/erasures/:id/confirm", ({ params }) =>
    HttpResponse.json({ ...find(params.id), ...OVER, status: "erasing" }),
  ),
  http.delete("*/v1/erasures/:id", ({ params }) =>
    HttpResponse.json({ id: params.id, object: "erasure", deleted: true }),
  ),
];
