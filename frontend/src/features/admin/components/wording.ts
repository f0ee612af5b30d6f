import type { AdminJob, AdminQueue, AdminWorker, Attempt, ModelServer } from "@/api/types";
import type { Tone } from "@/components/ui/status";
import { duration, plural } from "@/lib/format";

interface Words {
  tone: Tone;
  label: string;
}

export const QUEUES: Record<AdminQueue["name"], string> = {
  io: "Reading files",
  cpu: "Training on processors",
  gpu: "Training on GPUs",
};

export function queueWords(queue: AdminQueue): Words {
  switch (queue.state) {
    case "ok":
      return { tone: "good", label: queue.num_running > 0 ? "Working" : "Free" };
    case "busy":
      return { tone: "busy", label: "All workers are busy" };
    case "stuck":
      return { tone: "bad", label: "Stuck" };
    case "no_worker":
      return queue.num_waiting > 0
        ? { tone: "bad", label: "No worker serves it" }
        : { tone: "quiet", label: "No worker" };
  }
}

/** What is wrong with a queue and what helps; null while it moves. */
export function troubleOf(queue: AdminQueue): string | null {
  const waiting = `${plural(queue.num_waiting, "job waits", "jobs wait")}${queue.oldest_wait_s === null ? "" : `, the first for ${duration(queue.oldest_wait_s)}`}`;
  if (queue.state === "no_worker" && queue.num_waiting > 0)
    return `${waiting}, and no worker serves this queue. Start one, or join a machine.`;
  if (queue.state === "stuck" && queue.num_workers === 0)
    return `${waiting}, and no worker serves this queue. Start one, or join a machine.`;
  if (queue.state === "stuck")
    return `${waiting} although a worker is free. Restart its workers; if that does not help, look at their logs.`;
  return null;
}

export const RUNTIMES: Record<ModelServer["runtime"], string> = {
  tailorbird: "Tailorbird’s own runtime",
  vllm: "vLLM",
};

export function modelServerWords(server: Pick<ModelServer, "status" | "num_active">): Words {
  switch (server.status) {
    case "ready":
      return server.num_active > 0 ? { tone: "busy", label: "Answering" } : { tone: "good", label: "Ready" };
    case "starting":
      return { tone: "busy", label: "Starting" };
    case "restarting":
      return { tone: "warn", label: "Starting again" };
    case "failed":
      return { tone: "bad", label: "Does not start" };
    case "evicted":
      return { tone: "quiet", label: "Loaded when asked for" };
  }
}

const WORKERS: Record<AdminWorker["status"], Words> = {
  idle: { tone: "good", label: "Free" },
  working: { tone: "busy", label: "At work" },
  draining: { tone: "paused", label: "Takes no more jobs" },
  silent: { tone: "bad", label: "Silent" },
};

export function workerWords(worker: Pick<AdminWorker, "status">): Words {
  return WORKERS[worker.status];
}

const JOBS: Record<AdminJob["state"], Words> = {
  validating: { tone: "busy", label: "Being checked" },
  queued: { tone: "quiet", label: "Waiting" },
  running: { tone: "busy", label: "Running" },
  paused: { tone: "paused", label: "Paused" },
  succeeded: { tone: "good", label: "Done" },
  failed: { tone: "bad", label: "Failed" },
  cancelled: { tone: "quiet", label: "Cancelled" },
};

export const JOB_STATES = Object.keys(JOBS) as AdminJob["state"][];

export function jobWords(job: Pick<AdminJob, "state">): Words {
  return JOBS[job.state];
}

export function isOver(job: Pick<AdminJob, "state">): boolean {
  return job.state === "succeeded" || job.state === "failed" || job.state === "cancelled";
}

const OUTCOMES: Record<NonNullable<Attempt["outcome"]>, string> = {
  succeeded: "done",
  failed: "failed",
  cancelled: "cancelled",
  retried: "failed, tried again",
  interrupted: "its worker was told to stop",
  lease_expired: "its worker went silent",
  paused: "paused",
  killed: "taken away by an admin",
};

export function outcomeWords(attempt: Attempt): string {
  return attempt.outcome === null ? "at work now" : OUTCOMES[attempt.outcome];
}

/** "gpu:h100" as people say it. */
export function hardwareName(hardware: string): string {
  const [kind = "", model] = hardware.split(":");
  return model
    ? `${kind.toUpperCase()}, ${model.toUpperCase()}`
    : kind === "cpu"
      ? "Processor only"
      : kind.toUpperCase();
}

export function progressWords(progress: AdminJob["progress"]): string | null {
  return progress && progress.total_steps > 0 ? `step ${progress.step} of ${progress.total_steps}` : null;
}
