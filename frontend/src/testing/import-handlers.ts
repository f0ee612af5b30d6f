import { http, HttpResponse } from "msw";
import type { Model, ModelImport } from "@/api/types";
import { BASE, listOf, NOW_S } from "@/testing/fixtures";
import { MODELS, PROOF } from "@/testing/model-fixtures";

export const BROUGHT_ID = "ft:smollm2-135m-instruct:clinic:From-the-lab:4xq2m8za";

export function makeBrought(changes: Partial<Model> = {}): Model {
  const [tuned] = MODELS as [Model];
  return {
    ...tuned,
    id: BROUGHT_ID,
    name: "From the lab",
    origin: "imported",
    run_id: null,
    base_heldout_loss: null,
    tuned_heldout_loss: null,
    proof: PROOF,
    imported: {
      by: "Mira Holm",
      at: NOW_S - 3600,
      model_import_id: "import_1",
      filenames: ["adapter_config.json", "adapter_model.safetensors"],
      weights_sha256: "a".repeat(64),
      base_evidence: "confirmed",
      named_base: "HuggingFaceTB/SmolLM2-135M-Instruct",
    },
    ...changes,
  };
}

export function makeImport(changes: Partial<ModelImport> = {}): ModelImport {
  return {
    id: "import_1",
    object: "model_import",
    created_at: NOW_S - 60,
    name: "From the lab",
    base_model: BASE,
    confirm_base: true,
    quantization: null,
    files: [
      { id: "file-1", filename: "adapter_config.json", bytes: 900, sha256: "b".repeat(64) },
      { id: "file-2", filename: "adapter_model.safetensors", bytes: 9_800_000, sha256: "c".repeat(64) },
    ],
    status: "succeeded",
    is_cancelling: false,
    stage: null,
    waits_for: null,
    job_id: "job_30",
    finished_at: NOW_S - 30,
    model: BROUGHT_ID,
    error: null,
    ...changes,
  };
}

export const ON_ITS_WAY: Partial<ModelImport> = {
  status: "running",
  stage: "checking",
  finished_at: null,
  model: null,
};

export const REFUSED: Partial<ModelImport> = {
  status: "failed",
  model: null,
  error: {
    code: "adapter_base_mismatch",
    message:
      "This was trained on Qwen3 8B, and the weights of smollm2-135m-instruct here are not the same. Choose the base model that it was trained on.",
  },
};

/** By their ids: one that is here, one on its way, one that was refused, one that was stopped. */
const IMPORTS: ModelImport[] = [
  makeImport(),
  makeImport({ ...ON_ITS_WAY, id: "import_2", name: "Night shift" }),
  makeImport({ ...REFUSED, id: "import_3" }),
  makeImport({ id: "import_4", status: "cancelled", model: null }),
];

export const importHandlers = [
  http.get("*/v1/model_imports", () => HttpResponse.json(listOf(IMPORTS))),
  http.get("*/v1/model_imports/:id", ({ params }) => {
    const found = IMPORTS.find((one) => one.id === params.id);
    return found ? HttpResponse.json(found) : new HttpResponse(null, { status: 404 });
  }),
  http.post("*/v1/model_imports", () =>
    HttpResponse.json(makeImport({ ...ON_ITS_WAY, id: "import_2", name: "Night shift" })),
  ),
  http.post("*/v1/model_imports/:id/cancel", ({ params }) =>
    HttpResponse.json(makeImport({ ...ON_ITS_WAY, id: String(params.id), is_cancelling: true })),
  ),
];
