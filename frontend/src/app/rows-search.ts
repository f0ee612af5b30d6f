import { oneOf, pick, type Search } from "@/app/search";

const FILTERS = ["all", "problems", "train", "heldout", "left_out", "excluded", "edited"] as const;
const ORDERS = ["number", "-number", "num_tokens", "-num_tokens"] as const;
const MAX_NUMBER = 2 ** 31 - 1;

/** Which examples are looked at, in which order, and which of them is open. */
export function rowsSearch(search: Search) {
  return {
    ...pick({ ...search, q: asText(search.q), tag: asText(search.tag) }, "q", "finding", "tag"),
    ...oneOf(search, "filter", FILTERS),
    ...oneOf(search, "order", ORDERS),
    ...whole(search, "min"),
    ...whole(search, "max"),
    ...whole(search, "row"),
  };
}

/** The router reads `?q=42` as a number; it was typed as words. */
function asText(value: unknown): unknown {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : value;
}

function whole<Key extends string>(search: Search, key: Key): Partial<Record<Key, number>> {
  const value = search[key];
  const isFit = typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_NUMBER;
  return isFit ? ({ [key]: value } as Partial<Record<Key, number>>) : {};
}
