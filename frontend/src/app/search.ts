/** What the part of an address behind the ? may hold: words of ours, and nothing else. */
export type Search = Record<string, unknown>;

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Only the keys that carry something, so that addresses stay short. */
export function pick<Key extends string>(search: Search, ...keys: Key[]): Partial<Record<Key, string>> {
  const found = keys.flatMap((key) => {
    const value = text(search[key]);
    return value === undefined ? [] : [[key, value] as const];
  });
  return Object.fromEntries(found) as Partial<Record<Key, string>>;
}

/** A word that is one of those the wire knows; anything else is as if it were not there. */
export function oneOf<Key extends string, Word extends string | number>(
  search: Search,
  key: Key,
  words: readonly Word[],
): Partial<Record<Key, Word>> {
  const word = words.find((known) => known === search[key]);
  return word === undefined ? {} : ({ [key]: word } as Partial<Record<Key, Word>>);
}

export const JOB_STATES = [
  "validating",
  "queued",
  "running",
  "paused",
  "succeeded",
  "failed",
  "cancelled",
] as const;
export const AUDIT_SEARCH = ["q", "kind", "who", "target", "from", "to", "after"] as const;
/** How far back traffic is told, in days, where it is not a week. */
export const TRAFFIC_DAYS = [30] as const;
export const QUEUES = ["io", "cpu", "gpu"] as const;
export const DELIVERY_STATES = ["pending", "delivered", "failed"] as const;
