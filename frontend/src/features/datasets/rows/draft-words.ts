import type { Finding, RowChange } from "@/api/types";
import { count, plural } from "@/lib/format";

const KINDS: Partial<Record<RowChange["type"], string>> = {
  edit_row: "changed",
  apply_fix: "mended",
  exclude_rows: "left out",
  include_rows: "taken back in",
  tag_rows: "tagged",
  untag_rows: "untagged",
};
const OPPOSITE: Partial<Record<RowChange["type"], RowChange["type"]>> = {
  exclude_rows: "include_rows",
  include_rows: "exclude_rows",
};

/** "3 examples changed, 2 left out": every example once for each thing that was done to it. */
export function draftWords(changes: RowChange[], findings: Finding[]): string {
  const numbers = new Map<RowChange["type"], Set<number>>();
  const found = new Map<RowChange["type"], number>();
  const of = (type: RowChange["type"]) => {
    const known = numbers.get(type) ?? new Set<number>();
    numbers.set(type, known);
    return known;
  };
  for (const change of changes) {
    const opposite = OPPOSITE[change.type];
    for (const number of numbersOf(change)) {
      // what was left out and taken back in again is as it was
      if (opposite && of(opposite).delete(number)) continue;
      of(change.type).add(number);
    }
    if ("finding" in change && change.finding) {
      const size = findings.find((one) => one.code === change.finding)?.count ?? 0;
      found.set(change.type, (found.get(change.type) ?? 0) + size);
    }
  }
  const parts = (Object.keys(KINDS) as RowChange["type"][])
    .map((type) => ({
      word: KINDS[type] ?? "",
      size: (numbers.get(type)?.size ?? 0) + (found.get(type) ?? 0),
    }))
    .filter(({ size }) => size > 0)
    .map(({ word, size }, index) => `${index === 0 ? plural(size, "example") : count(size)} ${word}`);
  if (changes.some((change) => change.type === "resplit")) parts.push("chosen anew what is held back");
  return parts.length > 0 ? parts.join(", ") : "nothing that makes a difference";
}

function numbersOf(change: RowChange): number[] {
  if (change.type === "edit_row") return [change.number];
  return "numbers" in change ? (change.numbers ?? []) : [];
}

/** Whether an edit of this row waits to be saved. */
export function isEditedInDraft(changes: RowChange[], number: number): boolean {
  return changes.some((change) => change.type === "edit_row" && change.number === number);
}
