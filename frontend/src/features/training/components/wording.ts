import type { Recipe, Run, RunStatus } from "@/api/types";
import type { Tone } from "@/components/ui/status";

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
export function stepOf(run: Pick<Run, "status" | "stage">): number {
  if (run.status === "succeeded") return STEPS.length;
  if (run.status === "validating_files") return 0;
  if (run.status === "queued" || run.status === "paused") return 1;
  return STAGE_STEPS[run.stage ?? ""] ?? 2;
}

export function stageSentence(run: Run): string {
  if (run.status === "validating_files") return "Your examples are being checked.";
  if (run.status === "paused") return "The run is paused.";
  if (run.status === "queued") {
    const ahead = run.queue_position ?? 0;
    return ahead > 1 ? `${ahead - 1} in front of you.` : "You are next.";
  }
  return STAGE_SENTENCES[run.stage ?? ""] ?? "The run is starting.";
}

const STATUS: Record<RunStatus, { tone: Tone; label: string }> = {
  validating_files: { tone: "busy", label: "Checking" },
  queued: { tone: "quiet", label: "Waiting" },
  running: { tone: "busy", label: "Running" },
  paused: { tone: "quiet", label: "Paused" },
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

interface Fault {
  whose: string;
  whatNow: string;
  action: "data" | "again" | "usage";
}

/** Whose fault a failure was and what to do about it. */
export function faultOf(run: Pick<Run, "blame" | "error">): Fault {
  const code = run.error?.code ?? "";
  if (run.blame === "budget" || code.includes("budget")) {
    return {
      whose: "The budget of this workspace is used up.",
      whatNow: "Ask an admin for more, then start again.",
      action: "usage",
    };
  }
  if (run.blame === "user_error" || run.error?.param === "training_file" || code.startsWith("dataset")) {
    return {
      whose: "The cause is in the examples.",
      whatNow: "Mend them, then start again.",
      action: "data",
    };
  }
  return {
    whose: "This was our fault, not yours.",
    whatNow:
      "Your examples are safe. Start it again with the same settings; if it happens twice, tell your admin.",
    action: "again",
  };
}
