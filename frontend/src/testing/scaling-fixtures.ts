import type { ScalingEstimate, ScalingStudies, ScalingStudy } from "@/api/types";
import { listOf, NOW_S } from "@/testing/fixtures";

export const SCALING_ESTIMATE: ScalingEstimate = {
  object: "scaling_study.estimate",
  model: "smollm2-135m-instruct",
  hardware: "cpu",
  num_train: 400,
  num_heldout: 40,
  parts: [100, 200, 400],
  seconds: 360,
  seconds_low: 240,
  seconds_high: 540,
  cost_usd: 0.012,
  cost_usd_low: 0.008,
  cost_usd_high: 0.018,
  queue: { name: "cpu", position: 1, starts_in_s: 0 },
};

function point(num_rows: number, value: number) {
  return { num_rows, loss: { value, low: 0.9 * value, high: 1.1 * value } };
}

export function makeStudy(changes: Partial<ScalingStudy> = {}): ScalingStudy {
  return {
    id: "study_1",
    object: "scaling_study",
    created_at: NOW_S - 600,
    finished_at: NOW_S - 60,
    dataset_version_id: "dsv_1",
    model: "smollm2-135m-instruct",
    status: "succeeded",
    is_cancelling: false,
    waits_for: null,
    progress: 1,
    learning_from: null,
    num_train: 400,
    num_heldout: 40,
    base_loss: 3.2,
    points: [point(100, 1.6), point(200, 1.4), point(400, 1.25)],
    fit: { scale: 3.64, exponent: { value: 0.178, low: 0.12, high: 0.24 }, flattens: false },
    result: {
      verdict: "more_would_help",
      sentence: "More would help: about 300 more rows should bring the error down by 6 to 13 %.",
      limits: ["Three trainings are three points."],
      num_more: 300,
      gain: { value: 0.095, low: 0.06, high: 0.13 },
      loss_with_more: { value: 1.13, low: 1.0, high: 1.26 },
    },
    estimated_seconds: 360,
    estimated_cost_usd: 0.012,
    cost_usd: 0.011,
    error: null,
    ...changes,
  };
}

export function studiesOf(data: ScalingStudy[]): ScalingStudies {
  return { ...listOf(data), min_train: 40, min_heldout: 10 };
}
