import type { Erasure } from "@/api/types";

/** Whether there is nothing that would be removed. */
export function isEmpty(erasure: Erasure): boolean {
  const answers = erasure.num_completions + erasure.num_shadow_answers + erasure.num_preferences;
  const others = answers + erasure.num_drafts + erasure.num_grounds;
  return erasure.datasets.length + erasure.files.length + others === 0;
}
