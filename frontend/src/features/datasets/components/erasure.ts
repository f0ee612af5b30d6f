import type { Erasure } from "@/api/types";

/** Names and notes that lose the words, and keep their place. */
export function numNames(erasure: Erasure): number {
  const ours = erasure.num_runs + erasure.num_model_names + erasure.num_uploads;
  return ours + erasure.num_notes + erasure.num_access_names;
}

/** Messages of jobs, and of whoever webhooks called. */
export function numSaid(erasure: Erasure): number {
  return erasure.num_job_texts + erasure.num_webhook_answers;
}

/** Whether there is nothing that would be removed. */
export function isEmpty(erasure: Erasure): boolean {
  const answers = erasure.num_completions + erasure.num_shadow_answers + erasure.num_preferences;
  const others = answers + erasure.num_drafts + erasure.num_grounds + numNames(erasure) + numSaid(erasure);
  return erasure.datasets.length + erasure.files.length + others === 0;
}
