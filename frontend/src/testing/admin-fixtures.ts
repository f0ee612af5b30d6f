import type { AdminJob, AdminJobDetails, AdminQueue, AdminWorker, LogChunk, WorkerToken } from "@/api/types";
import { NOW_S } from "@/testing/fixtures";

const GB = 1_000_000_000;
const CLINIC = { id: "ws_1", name: "Riverside Clinic" };
const LAW = { id: "ws_2", name: "Okafor & Lind" };
const SHOP = { id: "ws_3", name: "Bramble Toys" };

export const QUEUES: AdminQueue[] = [
  {
    object: "queue",
    name: "io",
    state: "ok",
    num_waiting: 0,
    num_scheduled: 0,
    num_running: 1,
    num_workers: 2,
    num_busy_workers: 1,
    oldest_wait_s: null,
    claimed_last_hour: 14,
    finished_last_hour: 13,
    failed_last_hour: 0,
    median_wait_s: 0.2,
    workspaces: [{ workspace_id: LAW.id, name: LAW.name, num_waiting: 0, num_running: 1, max_running: null }],
  },
  {
    object: "queue",
    name: "cpu",
    state: "busy",
    num_waiting: 6,
    num_scheduled: 1,
    num_running: 2,
    num_workers: 2,
    num_busy_workers: 2,
    oldest_wait_s: 1240,
    claimed_last_hour: 5,
    finished_last_hour: 3,
    failed_last_hour: 1,
    median_wait_s: 410,
    workspaces: [
      { workspace_id: CLINIC.id, name: CLINIC.name, num_waiting: 3, num_running: 1, max_running: null },
      { workspace_id: SHOP.id, name: SHOP.name, num_waiting: 3, num_running: 1, max_running: 1 },
    ],
  },
  {
    object: "queue",
    name: "gpu",
    state: "stuck",
    num_waiting: 2,
    num_scheduled: 0,
    num_running: 1,
    num_workers: 2,
    num_busy_workers: 1,
    oldest_wait_s: 660,
    claimed_last_hour: 2,
    finished_last_hour: 2,
    failed_last_hour: 0,
    median_wait_s: 3.1,
    workspaces: [{ workspace_id: LAW.id, name: LAW.name, num_waiting: 2, num_running: 1, max_running: 4 }],
  },
];

export function makeWorker(overrides: Partial<AdminWorker> = {}): AdminWorker {
  return {
    object: "worker",
    id: "wkr_1",
    hostname: "bench-1",
    queue: "cpu",
    pid: 4121,
    version: "0.3.0",
    started_at: NOW_S - 260_000,
    heartbeat_at: NOW_S - 4,
    status: "working",
    hardware: "cpu",
    devices: [],
    memory_bytes: 16 * GB,
    used_memory_bytes: 6.2 * GB,
    num_jobs_done: 48,
    token_name: null,
    job: {
      id: "job_1",
      kind: "training.run",
      run_id: "ftjob-1",
      title: "Training Claims helper",
      workspace_name: CLINIC.name,
      attempt: 2,
      started_at: NOW_S - 480,
      stage: "training",
      progress: { step: 148, total_steps: 242 },
      lease_expires_at: NOW_S + 52,
    },
    ...overrides,
  };
}

export const WORKERS: AdminWorker[] = [
  makeWorker(),
  makeWorker({
    id: "wkr_2",
    hostname: "rack-3.lab",
    queue: "gpu",
    pid: 77,
    hardware: "gpu:h100",
    devices: [
      { name: "NVIDIA H100 80GB", memory_bytes: 80 * GB, used_bytes: 61 * GB, utilization: 93 },
      { name: "NVIDIA H100 80GB", memory_bytes: 80 * GB, used_bytes: 4 * GB, utilization: 0 },
    ],
    memory_bytes: 512 * GB,
    used_memory_bytes: 88 * GB,
    num_jobs_done: 310,
    token_name: "Lab rack",
    job: {
      id: "job_4",
      kind: "training.run",
      run_id: "ftjob-40",
      title: "Training contracts-de",
      workspace_name: LAW.name,
      attempt: 1,
      started_at: NOW_S - 3900,
      stage: "evaluating",
      progress: null,
      lease_expires_at: NOW_S + 40,
    },
  }),
  makeWorker({
    id: "wkr_3",
    hostname: "bench-2",
    queue: "io",
    pid: 4188,
    status: "idle",
    job: null,
    num_jobs_done: 902,
  }),
  makeWorker({
    id: "wkr_4",
    hostname: "old-laptop",
    pid: 990,
    status: "silent",
    heartbeat_at: NOW_S - 95,
    token_name: "Spare machines",
    used_memory_bytes: null,
    num_jobs_done: 3,
    job: null,
  }),
];

function makeJob(overrides: Partial<AdminJob> = {}): AdminJob {
  return {
    object: "job",
    id: "job_1",
    kind: "training.run",
    queue: "cpu",
    state: "running",
    stage: "training",
    priority: 0,
    workspace: CLINIC,
    run_id: "ftjob-1",
    title: "Training Claims helper",
    attempt: 2,
    num_interruptions: 0,
    max_attempts: 3,
    progress: { step: 148, total_steps: 242 },
    created_at: NOW_S - 1500,
    queued_at: NOW_S - 500,
    not_before: null,
    started_at: NOW_S - 1260,
    finished_at: null,
    wait_s: 20,
    lease: { worker_id: "wkr_1", expires_at: NOW_S + 52, heartbeat_at: NOW_S - 4 },
    error: null,
    blame: null,
    cancel_requested: false,
    pause_requested: false,
    created_by: "user_1",
    created_by_name: "Maya Lindqvist",
    ...overrides,
  };
}

export const JOBS: AdminJob[] = [
  makeJob(),
  makeJob({
    id: "job_2",
    title: "Training Billing answers",
    run_id: "ftjob-4",
    state: "queued",
    stage: null,
    progress: null,
    attempt: 0,
    started_at: null,
    lease: null,
    wait_s: 300,
    created_at: NOW_S - 302,
  }),
  makeJob({
    id: "job_3",
    kind: "dataset.ingest",
    queue: "io",
    title: "Reading contracts-2026.xlsx",
    run_id: null,
    workspace: LAW,
    progress: null,
    stage: "reading",
    attempt: 1,
    wait_s: 0.2,
    created_at: NOW_S - 40,
    created_by_name: "Ada Okafor",
  }),
  makeJob({
    id: "job_5",
    title: "Training First try",
    run_id: "ftjob-3",
    state: "failed",
    stage: null,
    attempt: 3,
    lease: null,
    finished_at: NOW_S - 168_000,
    created_at: NOW_S - 170_000,
    error: {
      code: "worker_lost",
      message: "The machine that worked on this stopped answering, again and again.",
    },
    blame: "platform_error",
  }),
  makeJob({
    id: "job_6",
    title: "Training Discharge letters",
    run_id: "ftjob-7",
    state: "paused",
    stage: null,
    lease: null,
    progress: { step: 96, total_steps: 242 },
    attempt: 1,
    created_at: NOW_S - 9000,
  }),
  makeJob({
    id: "job_7",
    title: "Training toy-names",
    run_id: "ftjob-50",
    workspace: SHOP,
    state: "succeeded",
    stage: null,
    attempt: 1,
    lease: null,
    finished_at: NOW_S - 7000,
    created_at: NOW_S - 12_000,
    created_by_name: "Tom Bramble",
  }),
];

const BENCH = "bench-1:4121:cpu";
const RACK = "rack-3.lab:77:cpu";

export function makeJobDetails(id: string): AdminJobDetails {
  const job = JOBS.find((known) => known.id === id) ?? makeJob({ id });
  return {
    ...job,
    attempts:
      id === "job_2"
        ? []
        : [
            {
              attempt: 1,
              worker_id: RACK,
              started_at: NOW_S - 1260,
              ended_at: NOW_S - 560,
              outcome: "lease_expired",
              seconds: 700,
              error: { code: "worker_lost", message: "The machine that worked on this stopped answering." },
            },
            {
              attempt: 2,
              worker_id: BENCH,
              started_at: NOW_S - 480,
              ended_at: null,
              outcome: null,
              seconds: 480,
              error: null,
            },
          ],
  };
}

export function makeLog(seq: number, attempt: number, text: string): LogChunk {
  return { seq, attempt, text, created_at: NOW_S - 1300 + seq };
}

const STEPS = Array.from(
  { length: 34 },
  (_, index) => `step ${115 + index}/242  loss ${(1.62 - index * 0.004).toFixed(4)}  3.9 s\n`,
);

export const LOG: LogChunk[] = [
  makeLog(1, 1, "loading smollm2-135m-instruct\nloaded in 3.1 s\n"),
  makeLog(2, 1, "step 1/242  loss 2.9411  4.0 s\nstep 2/242  loss 2.8702  3.9 s\n"),
  makeLog(3, 2, "loading smollm2-135m-instruct\nloaded in 2.9 s\ncontinuing after step 114\n"),
  ...STEPS.map((line, index) => makeLog(4 + index, 2, line)),
];

export const TOKENS: WorkerToken[] = [
  {
    object: "worker_token",
    id: "wtk_1",
    name: "Lab rack",
    created_at: NOW_S - 700_000,
    last_used_at: NOW_S - 4,
    revoked_at: null,
    num_workers: 1,
  },
  {
    object: "worker_token",
    id: "wtk_2",
    name: "Spare machines",
    created_at: NOW_S - 500_000,
    last_used_at: NOW_S - 95,
    revoked_at: null,
    num_workers: 0,
  },
  {
    object: "worker_token",
    id: "wtk_3",
    name: "Old cluster",
    created_at: NOW_S - 2_000_000,
    last_used_at: NOW_S - 900_000,
    revoked_at: NOW_S - 880_000,
    num_workers: 0,
  },
];
