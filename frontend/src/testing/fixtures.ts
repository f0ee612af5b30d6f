import type {
  Dataset,
  DatasetVersion,
  EstimateReply,
  ListOf,
  Message,
  Metric,
  Permission,
  Row,
  Run,
  RunEvent,
  Sample,
  Session,
  UploadedFile,
} from "@/api/types";
import { FINDINGS, LENGTHS } from "@/testing/findings";
import { TICKETS_MAPPING } from "@/testing/mapping-fixtures";
import { PAIRS } from "@/testing/pairs";

export const NOW_S = Math.floor(Date.now() / 1000);
export const BASE = "smollm2-135m-instruct";
export const TUNED = `ft:${BASE}:clinic:claims-helper:a1b2c3d4`;

export function listOf<T extends object>(data: T[], hasMore = false): ListOf<T> {
  const id = (item: T | undefined) => (item && "id" in item ? String(item.id) : null);
  return { object: "list", data, has_more: hasMore, first_id: id(data[0]), last_id: id(data.at(-1)) };
}

const ALL: Permission[] = [
  "datasets:read",
  "datasets:write",
  "datasets:erase",
  "runs:read",
  "runs:write",
  "models:read",
  "models:write",
  "models:export",
  "chat:use",
  "keys:manage",
  "members:read",
  "members:manage",
  "usage:read",
  "audit:read",
  "webhooks:manage",
  "workspace:admin",
  "installation:admin",
];

export function makeSession(overrides: Partial<Session> = {}): Session {
  return {
    object: "session",
    user: { id: "user_1", email: "maya@clinic.example", name: "Maya Lindqvist" },
    workspace: { id: "ws_1", name: "Riverside Clinic", slug: "clinic" },
    workspaces: [
      { id: "ws_1", name: "Riverside Clinic", slug: "clinic" },
      { id: "ws_2", name: "Research group", slug: "research" },
    ],
    is_visiting: false,
    may_create_workspaces: false,
    role: "admin",
    permissions: ALL,
    csrf_token: "csrf-1",
    ...overrides,
  };
}

export function messagesOf(index: number): Message[] {
  const [question, answer] = PAIRS[index % PAIRS.length] ?? ["", ""];
  return [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ];
}

export function makeVersion(overrides: Partial<DatasetVersion> = {}): DatasetVersion {
  return {
    id: "dsv_1",
    object: "dataset_version",
    dataset_id: "ds_1",
    number: 1,
    kind: "chat",
    status: "ready",
    created_at: NOW_S - 7200,
    parent_id: null,
    changes: null,
    num_changed: 0,
    mapping: TICKETS_MAPPING,
    num_rows: 1204,
    num_train: 1084,
    num_heldout: 120,
    num_visible: 1205,
    num_dated: 1200,
    num_problems: 3,
    num_erased: 0,
    num_tokens: 88_412,
    max_row_tokens: 412,
    content_sha256: "0".repeat(64),
    health: { findings: FINDINGS, answer_lengths: LENGTHS, languages: [] },
    problems: [
      {
        row: 214,
        column: "reply",
        code: "answer_empty",
        cause: "The answer is empty.",
        fix: "Write an answer or remove the row.",
        severity: "error",
      },
      {
        row: 388,
        column: "ticket",
        code: "card_number",
        cause: "This looks like a card number.",
        fix: "Replace it with a placeholder such as [card].",
        severity: "warning",
      },
      {
        row: 731,
        column: null,
        code: "contradiction",
        cause: "The same question has another answer in row 12.",
        fix: "Keep the better one.",
        severity: "warning",
      },
    ],
    error: null,
    job_id: "job_1",
    progress: 1,
    ...overrides,
  };
}

export function makeDataset(overrides: Partial<Dataset> = {}): Dataset {
  return {
    id: "ds_1",
    object: "dataset",
    name: "Front desk tickets",
    created_at: NOW_S - 7200,
    file_id: "file-1",
    latest_version: makeVersion(),
    ...overrides,
  };
}

export function makeFile(overrides: Partial<UploadedFile> = {}): UploadedFile {
  const values = (part: 0 | 1) => PAIRS.slice(0, 3).map((pair) => pair[part]);
  return {
    id: "file-1",
    object: "file",
    bytes: 184_220,
    created_at: NOW_S - 60,
    filename: "tickets.csv",
    purpose: "fine-tune",
    status: "processed",
    expires_at: null,
    status_details: null,
    sha256: "0".repeat(64),
    inspection: {
      format: "csv",
      sheets: [],
      kind: "chat",
      columns: [
        { name: "ticket", sample_values: values(0), role_suggestion: "question" },
        { name: "reply", sample_values: values(1), role_suggestion: "answer" },
        { name: "team", sample_values: ["front desk", "front desk", "billing"], role_suggestion: null },
      ],
      num_rows: 1204,
      is_complete: true,
      notices: [],
      sample: [0, 1, 2].map((index) => ({ row: index + 2, messages: messagesOf(index) })),
      mapping: TICKETS_MAPPING,
      speakers: [],
      problems: makeVersion().problems.slice(0, 2),
      num_problems: 2,
    },
    ...overrides,
  };
}

export function makeRow(index: number, overrides: Partial<Row> = {}): Row {
  return {
    id: `row_${index}`,
    object: "row",
    number: index + 1,
    split: index % 4 === 3 ? "heldout" : "train",
    messages: messagesOf(index),
    tools: null,
    chosen: null,
    rejected: null,
    text: null,
    num_tokens: 74,
    problems: index === 2 ? makeVersion().problems.slice(2, 3) : [],
    is_edited: false,
    is_excluded: false,
    tags: [],
    time: null,
    ...overrides,
  };
}

export const SAMPLES: Sample[] = [
  {
    id: "reviews",
    object: "sample",
    name: "Is this review happy?",
    description:
      "Short reviews with one word for the mood. Learned in a few minutes; the difference is easy to see.",
    license: "CC BY 4.0",
    source: "shipped",
    num_rows: 600,
  },
  {
    id: "support",
    object: "sample",
    name: "Answers in the voice of a small shop",
    description: "Customer questions with friendly, short replies.",
    license: "MIT",
    source: "shipped",
    num_rows: 320,
  },
];

export function makeEstimates(): EstimateReply {
  const one = (recipe: string, minutes: number, cost: number) => ({
    recipe,
    is_recommended: recipe === "balanced",
    seconds: minutes * 60,
    seconds_low: minutes * 50,
    seconds_high: minutes * 75,
    cost_usd: cost,
    cost_usd_low: cost * 0.83,
    cost_usd_high: cost * 1.25,
    total_tokens: 88_412 * minutes,
    num_steps: minutes * 11,
    hyperparameters: {
      n_epochs: 3,
      batch_size: 8,
      learning_rate: 0.0002,
      rank: 16,
      alpha: 32,
      num_virtual_tokens: null,
      method: "lora",
      quantization: null,
      objective: "sft",
      max_length_tokens: 512,
      max_seen_tokens: null,
      schedule: "cosine",
      warmup_ratio: 0.05,
      weight_decay: 0,
      optimizer: "adamw",
      eval_every_steps: 30,
      early_stopping_patience: null,
    },
    hardware: "cpu",
    peak_memory_bytes: 1.4e9,
    available_memory_bytes: null,
    memory: null,
    execution: null,
    fits_on: [],
    based_on: "catalogue" as const,
    num_past_runs: 0,
    warning: null,
  });
  return {
    object: "fine_tuning.estimate",
    estimates: [one("fast", 8, 0.02), one("balanced", 22, 0.055), one("best", 61, 0.152)],
    refusals: [],
    price: { usd_per_hour: 0.15, hardware: "cpu", source: "example price list" },
    queue: { name: "cpu", position: 1, starts_in_s: 0 },
  };
}

export function makeRun(overrides: Partial<Run> = {}): Run {
  return {
    id: "ftjob-1",
    object: "fine_tuning.job",
    created_at: NOW_S - 900,
    started_at: NOW_S - 880,
    finished_at: null,
    estimated_finish: NOW_S + 600,
    model: BASE,
    fine_tuned_model: null,
    organization_id: "ws_1",
    status: "running",
    error: null,
    hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 1 },
    method: {
      type: "supervised",
      supervised: { hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 1 } },
    },
    training_file: "file-1",
    validation_file: null,
    result_files: [],
    trained_tokens: null,
    seed: 7,
    integrations: [],
    metadata: null,
    user_provided_suffix: null,
    name: "Claims helper",
    stage: "training",
    progress: { step: 148, total_steps: 242, fraction: 0.61, seconds_left: 540 },
    recipe: "balanced",
    adapter: {
      type: "lora",
      rank: 16,
      alpha: 32,
      dropout: 0,
      target_modules: "all-linear",
      quantization: null,
      num_virtual_tokens: null,
      init_text: null,
      learning_rate_ratio: null,
      num_iterations: null,
    },
    training: {
      learning_rate: 0.0002,
      schedule: "cosine",
      warmup_ratio: 0.05,
      weight_decay: 0,
      max_grad_norm: 1,
      optimizer: "adamw",
      max_length_tokens: 512,
      max_seen_tokens: null,
      eval_every_steps: 30,
      max_heldout_rows: 200,
      early_stopping_patience: null,
    },
    max_length_tokens: 512,
    learning_rate: 0.0002,
    dataset_version_id: "dsv_1",
    dataset_name: "Front desk tickets",
    validation_dataset_version_id: null,
    leakage: null,
    estimate: { ...makeEstimates().estimates[1], recipe: undefined } as unknown as Run["estimate"],
    cancel_requested: false,
    blame: null,
    cost_usd: 0.036,
    seconds: 862,
    base_heldout_loss: 2.914,
    tuned_heldout_loss: null,
    results: null,
    queue_position: null,
    starts_in_s: null,
    created_by: "user_1",
    hardware: "cpu",
    priority: 0,
    start_after: null,
    max_cost_usd: null,
    warning: null,
    cloned_from: null,
    attempt: 1,
    num_interruptions: 0,
    pause_requested: false,
    actions: ["pause", "cancel", "clone"],
    failure: null,
    ...overrides,
  };
}

export const DONE: Partial<Run> = {
  id: "ftjob-2",
  status: "succeeded",
  stage: null,
  progress: null,
  fine_tuned_model: TUNED,
  finished_at: NOW_S - 80_000,
  created_at: NOW_S - 81_400,
  tuned_heldout_loss: 1.742,
  trained_tokens: 265_236,
  cost_usd: 0.058,
  seconds: 1394,
  actions: ["clone"],
};

export function makeMetrics(steps = 148): Metric[] {
  return Array.from({ length: Math.floor(steps / 2) }, (_, index) => {
    const step = (index + 1) * 2;
    const noise = Math.sin(step * 1.7) * 0.09 + Math.sin(step * 0.61) * 0.06;
    return {
      step,
      total_steps: 242,
      train_loss: 1.35 + 1.6 * Math.exp(-step / 45) + noise,
      valid_loss: step % 20 === 0 || step === 2 ? 1.62 + 1.3 * Math.exp(-step / 50) : null,
    };
  });
}

export function makeEvent(id: number, message: string, level: RunEvent["level"] = "info"): RunEvent {
  return {
    id: `ftevent-${id}`,
    object: "fine_tuning.job.event",
    created_at: NOW_S - 900 + id,
    level,
    message,
    type: "message",
    data: null,
  };
}
