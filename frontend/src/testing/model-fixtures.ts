import type { Model } from "@/api/types";
import { BASE, NOW_S, TUNED } from "@/testing/fixtures";

export const MODELS: Model[] = [
  {
    id: TUNED,
    object: "model",
    created: NOW_S - 80_000,
    owned_by: "clinic",
    shutdown_date: null,
    kind: "tuned",
    name: "Claims helper",
    base_model: BASE,
    run_id: "ftjob-2",
    method: "lora",
    checkpoint_step: null,
    base_heldout_loss: 2.914,
    tuned_heldout_loss: 1.742,
    is_ready: true,
  },
  {
    id: BASE,
    object: "model",
    created: 0,
    owned_by: "system",
    shutdown_date: null,
    kind: "base",
    name: "SmolLM2 135M Instruct",
    base_model: BASE,
    run_id: null,
    method: null,
    checkpoint_step: null,
    base_heldout_loss: null,
    tuned_heldout_loss: null,
    is_ready: true,
  },
];
