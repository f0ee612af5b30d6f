import type { DatasetVersion } from "@/api/types";
import { count, plural } from "@/lib/format";

export interface HealthLine {
  key: string;
  isGood: boolean;
  sentence: string;
}

/** What was found in the examples, in the words of the person who brought them. */
export function healthLines(version: DatasetVersion): HealthLine[] {
  const { duplicates, contradictions, too_long, empty, card_numbers } = version.health;
  const isPreference = version.kind === "preference";
  const isText = version.kind === "text";
  const lines: HealthLine[] = [
    {
      key: "size",
      isGood: true,
      sentence: `${plural(version.num_rows, "example")}. ${count(version.num_train)} to learn from, ${count(version.num_heldout)} held back to check the result honestly.`,
    },
  ];
  const add = (key: string, value: number, one: string, many: string) => {
    if (value > 0)
      lines.push({ key, isGood: false, sentence: value === 1 ? one : `${count(value)} ${many}` });
  };
  add("duplicates", duplicates, "1 says the same thing twice.", "say the same thing twice.");
  add(
    "contradictions",
    contradictions,
    isPreference
      ? "1 pair of answers is preferred both ways round."
      : "1 question has two different answers.",
    isPreference
      ? "pairs of answers are preferred both ways round."
      : "questions have two different answers.",
  );
  add(
    "card_numbers",
    card_numbers,
    "1 contains what looks like a card number.",
    "contain what looks like a card number.",
  );
  add("too_long", too_long, "1 is too long and will be cut short.", "are too long and will be cut short.");
  add(
    "empty",
    empty,
    isText ? "1 is empty and is left out." : "1 has no question or no answer and is left out.",
    isText ? "are empty and are left out." : "have no question or no answer and are left out.",
  );
  if (lines.length === 1) {
    lines.push({ key: "clean", isGood: true, sentence: "No repeats, no contradictions, nothing missing." });
  }
  return lines;
}
