import { http, HttpResponse } from "msw";
import type { ModelExport, ModelExportChoice } from "@/api/types";
import { listOf, NOW_S, TUNED } from "@/testing/fixtures";

export function makeExport(changes: Partial<ModelExport> = {}): ModelExport {
  return {
    id: "export_1",
    object: "model_export",
    created_at: NOW_S - 600,
    model: TUNED,
    format: "adapter",
    status: "succeeded",
    is_cancelling: false,
    stage: null,
    waits_for: null,
    progress: 1,
    job_id: "job_20",
    finished_at: NOW_S - 580,
    folder: "Claims-helper-adapter-000001",
    files: [
      { name: "README.md", bytes: 2900, sha256: "a".repeat(64) },
      { name: "manifest.json", bytes: 3300, sha256: "b".repeat(64) },
      { name: "manifest.sig", bytes: 300, sha256: "c".repeat(64) },
      { name: "adapter_config.json", bytes: 900, sha256: "d".repeat(64) },
      { name: "adapter_model.safetensors", bytes: 9_800_000, sha256: "e".repeat(64) },
      { name: "parity.safetensors", bytes: 66_000, sha256: "f".repeat(64) },
    ],
    bytes: 9_873_400,
    manifest_sha256: "b".repeat(64),
    expires_at: NOW_S + 600_000,
    is_expired: false,
    cost_usd: 0.0002,
    merge: null,
    error: null,
    ...changes,
  };
}

export const UNDER_WAY: Partial<ModelExport> = {
  status: "running",
  stage: "publishing",
  progress: 0.5,
  finished_at: null,
  files: [],
  bytes: null,
  manifest_sha256: null,
  expires_at: null,
  cost_usd: null,
};

export const RETRY: ModelExport["waits_for"] = {
  reason: "retry",
  message: "Try 1 failed. Our storage did not answer for a long time. Next try in 5 seconds.",
  until: NOW_S + 5,
};

export const CHOICES: ModelExportChoice[] = [
  { format: "adapter", reason: null },
  { format: "merged", reason: null },
  { format: "gguf", reason: null },
  { format: "bedrock", reason: "Amazon Bedrock imports models built like Llama, and this is none." },
];

export const exportHandlers = [
  http.get("*/v1/model_exports/choices/:model", () => HttpResponse.json({ object: "list", data: CHOICES })),
  http.get("*/v1/model_exports", () =>
    HttpResponse.json(
      listOf([
        makeExport(),
        makeExport({ ...UNDER_WAY, id: "export_2", format: "merged", stage: "merging" }),
        makeExport({
          ...UNDER_WAY,
          id: "export_3",
          format: "gguf",
          status: "queued",
          stage: null,
          waits_for: RETRY,
        }),
      ]),
    ),
  ),
  http.post("*/v1/model_exports", () => HttpResponse.json(makeExport(UNDER_WAY))),
  http.post("*/v1/model_exports/:id/cancel", () =>
    HttpResponse.json(makeExport({ ...UNDER_WAY, is_cancelling: true })),
  ),
];
