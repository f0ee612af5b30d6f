export type PastedName = "pasted.jsonl" | "pasted.csv" | "pasted.txt";

/** What pasted text looks like, as the name of a file that is read that way. */
export function kindOfText(text: string): PastedName {
  const [first = "", second] = text.trimStart().split(/\r?\n/, 2);
  if (first.startsWith("{")) return "pasted.jsonl";
  const separator = ["\t", ";", ","].find((sign) => first.includes(sign));
  // Prose has commas too; a heading has no full stop at its end, and the rows below are cut as it is.
  const isTable =
    separator !== undefined && !/[.!?]\s*$/.test(first) && (second ?? separator).includes(separator);
  return isTable ? "pasted.csv" : "pasted.txt";
}
