import type { Leakage, Rehearsal, Run, RunEvent } from "@/api/types";
import { DONE, makeEvent, makeRun, NOW_S } from "@/testing/fixtures";

function waiting(
  id: string,
  name: string,
  place: number,
  startsInS: number | null,
  part: Partial<Run> = {},
): Run {
  return makeRun({
    id,
    name,
    status: "queued",
    stage: null,
    progress: null,
    queue_position: place,
    starts_in_s: startsInS,
    cost_usd: null,
    seconds: null,
    started_at: null,
    created_at: NOW_S - 300 - place,
    actions: ["pause", "cancel", "clone", "move"],
    ...part,
  });
}

/** In the order of their turns. */
export const WAITING: Run[] = [
  waiting("ftjob-4", "Billing answers", 2, 540),
  waiting("ftjob-5", "Letters to insurers", 3, 1860),
  waiting("ftjob-6", "Night shift notes", 4, null, { start_after: NOW_S + 64_000 }),
];

const PAUSED: Run = makeRun({
  id: "ftjob-7",
  name: "Discharge letters",
  status: "paused",
  stage: null,
  max_cost_usd: 0.04,
  cost_usd: 0.04,
  created_at: NOW_S - 9000,
  progress: { step: 96, total_steps: 242, fraction: 0.4, seconds_left: null },
  blame: "budget",
  actions: ["resume", "cancel", "clone"],
  failure: {
    class: "budget",
    code: "budget_reached",
    message: "The run reached the limit you set for its cost.",
    advice: "It is paused and everything so far is kept. Continue it with a higher limit, or cancel it.",
    is_ours: false,
    retries_left: null,
    fix: { action: "continue", label: "Continue with a higher limit", changes: { max_cost_usd: 0.06 } },
  },
});

const LOST = {
  code: "worker_lost",
  message: "The machine that worked on this stopped answering, again and again.",
  param: null,
};

const LOST_RUN: Run = makeRun({
  id: "ftjob-3",
  name: "First try",
  status: "failed",
  stage: null,
  progress: { step: 115, total_steps: 242, fraction: 0.47, seconds_left: null },
  blame: "platform_error",
  error: LOST,
  created_at: NOW_S - 170_000,
  finished_at: NOW_S - 168_000,
  cost_usd: 0,
  seconds: 212,
  attempt: 3,
  actions: ["resume", "clone"],
  failure: {
    ...LOST,
    class: "worker_lost",
    advice:
      "This is our fault, and it cost you nothing. Continue it, and tell your admin if it happens once more.",
    is_ours: true,
    retries_left: 0,
    fix: { action: "continue", label: "Continue from where it was", changes: {} },
  },
});

export const ASTRAY: Run = makeRun({
  id: "ftjob-8",
  name: "Very eager",
  status: "failed",
  stage: null,
  progress: { step: 31, total_steps: 242, fraction: 0.13, seconds_left: null },
  blame: "user_error",
  error: { code: "non_finite_loss", message: "The training went astray.", param: null },
  created_at: NOW_S - 200_000,
  finished_at: NOW_S - 199_000,
  cost_usd: 0.007,
  seconds: 168,
  learning_rate: 0.001,
  method: {
    type: "supervised",
    supervised: { hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 5 } },
  },
  actions: ["resume", "clone"],
  failure: {
    class: "non_finite_loss",
    code: "non_finite_loss",
    message: "The training went astray: its error grew beyond all bounds.",
    advice:
      "Nothing was published. Start it again with a lower learning rate, or with the recipe we recommend.",
    is_ours: false,
    retries_left: null,
    fix: {
      action: "clone",
      label: "Try again with a lower learning rate",
      changes: {
        method: { type: "supervised", supervised: { hyperparameters: { learning_rate_multiplier: 1 } } },
      },
    },
  },
});

export const RUNS: Run[] = [
  makeRun({ attempt: 2, num_interruptions: 0 }),
  ...WAITING,
  PAUSED,
  makeRun(DONE),
  LOST_RUN,
  ASTRAY,
];

export function findRun(id: unknown): Run {
  return RUNS.find((run) => run.id === id) ?? makeRun({ id: String(id) });
}

/** Newest first, as the wire has them. */
export const EVENTS: RunEvent[] = [
  makeEvent(420, "Continuing after step 115 of 242 from a checkpoint of 2026-11-23 10:04."),
  makeEvent(355, "The machine that worked on this stopped answering; the work is given to another.", "warn"),
  makeEvent(3, "Fine-tuning job started"),
  makeEvent(2, "Files validated, moving job to queued state"),
  makeEvent(1, "Created fine-tuning job: ftjob-1"),
];

export const LEAKAGE: Leakage = {
  num_measured: 600,
  num_same: 7,
  num_nearly: 1,
  rows: [
    { number: 3, training_number: 1040, is_same: true },
    { number: 58, training_number: 12, is_same: false },
  ],
  message: "8 of the 600 examples that this is checked with are learned from too.",
  advice: "Leave them out of one of the two sets, or check with examples that are not learned from.",
};

export const REHEARSAL: Rehearsal = {
  object: "fine_tuning.job.dry_run",
  would_start: true,
  checks: [],
  spec: null,
  estimate: null,
  queue: null,
  leakage: LEAKAGE,
};
