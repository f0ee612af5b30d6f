import type { DatasetVersion, Finding } from "@/api/types";
import { count, plural } from "@/lib/format";

/** What is fine where none of these was found, in the words of the person who brought the examples. */
const FINE: { unlessFound: string[]; words: string }[] = [
  { unlessFound: ["empty", "cut_off", "placeholder"], words: "nothing missing" },
  { unlessFound: ["duplicate", "near_duplicate"], words: "no repeats" },
  { unlessFound: ["contradiction"], words: "no contradictions" },
  {
    unlessFound: ["card_number", "iban", "national_id", "email", "phone_number", "ip_address"],
    words: "no numbers or addresses of people",
  },
  { unlessFound: ["secret"], words: "no passwords or keys" },
  { unlessFound: ["too_long"], words: "nothing too long" },
];

export function sizeSentence(version: DatasetVersion): string {
  const used = `${plural(version.num_rows, "example")}. ${count(version.num_train)} to learn from, ${count(version.num_heldout)} held back to check the result honestly.`;
  const leftOut = leftOutWords(version);
  return leftOut ? `${used} ${leftOut}.` : used;
}

/** Rows that stand among the examples and are none: "1 more is left out"; null if all are used. */
export function leftOutWords({ num_rows, num_visible }: DatasetVersion): string | null {
  const leftOut = num_visible - num_rows;
  return leftOut > 0 ? `${count(leftOut)} more ${leftOut === 1 ? "is" : "are"} left out` : null;
}

/** What was looked for and not found, in one sentence; null if everything was found. */
export function fineSentence(findings: Finding[]): string | null {
  const found = new Set(findings.map((finding) => finding.code));
  const fine = FINE.filter(({ unlessFound }) => !unlessFound.some((code) => found.has(code)));
  if (fine.length === 0) return null;
  const words = fine.map(({ words }) => words).join(", ");
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}
