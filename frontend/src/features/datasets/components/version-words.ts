import type { DatasetVersion, VersionDiff } from "@/api/types";
import { plural } from "@/lib/format";

type Change = NonNullable<DatasetVersion["changes"]>[number];
type DiffKind = VersionDiff["data"][number]["kind"];

function rowsOf(change: { numbers?: number[] | null; finding?: string | null }): string {
  return change.numbers
    ? plural(change.numbers.length, "example")
    : `the examples with “${wordOf(change.finding)}”`;
}

function wordOf(finding: string | null | undefined): string {
  return (finding ?? "").replaceAll("_", " ");
}

/** What a change did, in a few words. */
export function sentenceOf(change: Change): string {
  switch (change.type) {
    case "edit_row":
      return `Example ${change.number} edited`;
    case "exclude_rows":
      return `Left out ${rowsOf(change)}`;
    case "include_rows":
      return `Took back in ${rowsOf(change)}`;
    case "tag_rows":
      return `Tagged ${rowsOf(change)} “${change.tag}”`;
    case "untag_rows":
      return `Took the tag “${change.tag}” from ${rowsOf(change)}`;
    case "apply_fix":
      return `Mended “${wordOf(change.finding)}”`;
    case "resplit":
      return change.strategy === "by_time" ? "Held back the newest, by date" : "Chose anew what is held back";
    case "restore":
      return `Went back to version ${change.number}`;
  }
}

const SHOWN = 3;

/** What made this version, in a line. */
export function changeWords(version: DatasetVersion): string {
  if (!version.changes) return version.number === 1 ? "Read from the file" : "Read from the file again";
  const edits = version.changes.filter((change) => change.type === "edit_row");
  const others = version.changes.filter((change) => change.type !== "edit_row").map(sentenceOf);
  const first = edits.length > 1 ? [`${plural(edits.length, "example")} edited`] : edits.map(sentenceOf);
  const all = [...first, ...others];
  const more = all.length - SHOWN;
  return all.slice(0, SHOWN).join(". ") + (more > 0 ? `, and ${plural(more, "more change")}` : "");
}

const KINDS: Record<DiffKind, string> = {
  added: "added",
  removed: "removed",
  edited: "edited",
  excluded: "left out",
  included: "taken back in",
  moved: "moved between learning and checking",
  tagged: "tagged anew",
};

export function kindWord(kind: DiffKind): string {
  return KINDS[kind];
}

export function countWords(counts: VersionDiff["counts"]): string {
  const found = Object.entries(counts).map(
    ([kind, number]) => `${plural(number, "example")} ${KINDS[kind as DiffKind]}`,
  );
  return found.length > 0 ? `${found.join(", ")}.` : "Both say the same.";
}
