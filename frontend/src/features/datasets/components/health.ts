import type { DatasetVersion } from "@/api/types";
import { count, plural } from "@/lib/format";

export interface HealthLine {
  key: string;
  isGood: boolean;
  sentence: string;
}

/** What was found in the examples, in the words of the person who brought them. */
export function healthLines(version: DatasetVersion): HealthLine[] {
  const found = version.health.findings.map(({ code, sentence }) => ({
    key: code,
    isGood: false,
    sentence,
  }));
  return [
    {
      key: "size",
      isGood: true,
      sentence: `${plural(version.num_rows, "example")}. ${count(version.num_train)} to learn from, ${count(version.num_heldout)} held back to check the result honestly.`,
    },
    ...found,
    ...(found.length === 0
      ? [{ key: "clean", isGood: true, sentence: "No repeats, no contradictions, nothing missing." }]
      : []),
  ];
}
