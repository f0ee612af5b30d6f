import type { Recipe, Run, RunStatus } from "@/api/types";
import type { Tone } from "@/components/ui/status";
import { duration, ordinal, whenLabel } from "@/lib/format";

/** What the run is doing, as a person would say it. The keys are the wire's words. */
const STAGE_STEPS: Record<string, number> = {
  loading_model: 2,
  tokenizing: 2,
  measuring_base: 2,
  training: 3,
  evaluating: 4,
  saving: 5,
};

export const STEPS = [
  "Checking examples",
  "Waiting in line",
  "Getting ready",
  "Learning",
  "Checking the result",
  "Saving",
] as const;

const STAGE_SENTENCES: Record<string, string> = {
  loading_model: "The base model is being loaded.",
  tokenizing: "Your examples are being read.",
  measuring_base: "The base model answers your held-back examples, so that we can compare.",
  training: "The model is learning from your examples.",
  evaluating: "Your model answers examples it has never seen.",
  saving: "Your model is being saved.",
};

/** The step a run is at; past the last one when it has succeeded. */
export function stepOf(run: Pick<Run, "status" | "stage" | "progress">): number {
  if (run.status === "succeeded") return STEPS.length;
  if (run.status === "validating_files") return 0;
  if (run.status === "queued") return 1;
  const known = STAGE_STEPS[run.stage ?? ""];
  if (known !== undefined) return known;
  // A run at rest has no stage; how far it came says where it stands.
  if ((run.progress?.step ?? 0) > 0) return 3;
  return run.status === "paused" && run.progress === null ? 1 : 2;
}

/** The turn of a waiting run: "3rd in line · starts in about 12 minutes". */
export function turnOf(run: Run, nowMs: number): string {
  if (run.start_after !== null && run.start_after * 1000 > nowMs) {
    return `Starts ${whenLabel(run.start_after, nowMs)}`;
  }
  const place =
    run.queue_position === null
      ? "Waiting in line"
      : run.queue_position <= 1
        ? "Next in line"
        : `${ordinal(run.queue_position)} in line`;
  if (run.starts_in_s === null) return place;
  return `${place} · ${run.starts_in_s < 5 ? "starts in a moment" : `starts in about ${duration(run.starts_in_s)}`}`;
}

export function stageSentence(run: Run, nowMs: number): string {
  if (run.status === "validating_files") return "Your examples are being checked.";
  if (run.status === "paused")
    return "Its place is saved. Nothing runs and nothing is charged until you resume it.";
  if (run.status === "queued") return `${turnOf(run, nowMs)}.`;
  if (run.pause_requested) return "It saves its place and then stops.";
  return STAGE_SENTENCES[run.stage ?? ""] ?? "The run is starting.";
}

const STATUS: Record<RunStatus, { tone: Tone; label: string }> = {
  validating_files: { tone: "busy", label: "Checking" },
  queued: { tone: "quiet", label: "Waiting" },
  running: { tone: "busy", label: "Running" },
  paused: { tone: "paused", label: "Paused" },
  succeeded: { tone: "good", label: "Done" },
  failed: { tone: "bad", label: "Failed" },
  cancelled: { tone: "quiet", label: "Cancelled" },
};

export function statusOf(run: Pick<Run, "status">): { tone: Tone; label: string } {
  return STATUS[run.status];
}

export const RECIPES: Record<Recipe, { title: string; sentence: string }> = {
  fast: { title: "Fast", sentence: "A first impression, to see if your examples work." },
  balanced: { title: "Balanced", sentence: "The right choice for most people." },
  best: { title: "Best", sentence: "Learns longer. Worth it once your examples are good." },
};

export function isRecipe(value: string): value is Recipe {
  return value in RECIPES;
}

export function runName(run: Pick<Run, "name" | "dataset_name" | "id">): string {
  return run.name ?? run.dataset_name ?? run.id;
}
