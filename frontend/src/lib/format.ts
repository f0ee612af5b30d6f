const LOCALE = "en-US";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const exact = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium" });
const day = new Intl.DateTimeFormat(LOCALE, { month: "short", day: "numeric", timeZone: "UTC" });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

export function count(value: number): string {
  return whole.format(value);
}

export function compact(value: number): string {
  return short.format(value);
}

/** "1 example", "1,204 examples". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const ENDINGS: Partial<Record<Intl.LDMLPluralRule, string>> = { one: "st", two: "nd", few: "rd" };
const order = new Intl.PluralRules(LOCALE, { type: "ordinal" });

/** "1st", "2nd", "13th". */
export function ordinal(value: number): string {
  return `${count(value)}${ENDINGS[order.select(value)] ?? "th"}`;
}

/** Small sums keep the digits that matter, so that a run of a tenth of a cent is not shown as free. */
export function money(usd: number): string {
  if (usd === 0) return "$0.00";
  if (usd < 0.0001) return "under $0.0001";
  const digits = usd < 0.01 ? 4 : usd < 1 ? 3 : 2;
  return `$${usd.toFixed(digits)}`;
}

export function moneyRange(low: number, high: number): string {
  const [from, to] = [money(low), money(high)];
  return from === to ? from : `${from} – ${to}`;
}

/** A length of time in the largest unit that still says something. */
export function duration(seconds: number): string {
  if (seconds < 1) return "under 1 second";
  if (seconds < 90) return plural(Math.round(seconds), "second");
  if (seconds < 90 * MINUTE_S) return plural(Math.round(seconds / MINUTE_S), "minute");
  if (seconds < 36 * HOUR_S) return `${trim(seconds / HOUR_S)} hours`;
  return `${trim(seconds / DAY_S)} days`;
}

/** How long somebody waited for an answer. */
export function latency(milliseconds: number): string {
  if (milliseconds < 100) return "under 0.1 s";
  const seconds = milliseconds / 1000;
  return seconds < 60 ? `${trim(seconds)} s` : duration(seconds);
}

export function durationRange(low: number, high: number): string {
  if (duration(low) === duration(high)) return `about ${duration(high)}`;
  const [unit, size] =
    high < 90
      ? (["seconds", 1] as const)
      : high < 90 * MINUTE_S
        ? (["minutes", MINUTE_S] as const)
        : (["hours", HOUR_S] as const);
  const from = unit === "hours" ? trim(low / size) : String(Math.max(1, Math.round(low / size)));
  const to = unit === "hours" ? trim(high / size) : String(Math.max(1, Math.round(high / size)));
  return from === to ? `about ${to} ${unit}` : `${from} – ${to} ${unit}`;
}

function trim(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  if (value < 1_000_000) return `${trim(value / 1000)} kB`;
  if (value < 1_000_000_000) return `${trim(value / 1_000_000)} MB`;
  return `${trim(value / 1_000_000_000)} GB`;
}

export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}

export function exactTime(unixSeconds: number): string {
  return exact.format(unixSeconds * 1000);
}

/** A moment to come, as one would say it: "today at 14:00", "tomorrow at 9:30", "Nov 30 at 8:00". */
export function whenLabel(unixSeconds: number, nowMs: number): string {
  const at = new Date(unixSeconds * 1000);
  const time = at.toLocaleTimeString(LOCALE, { hour: "numeric", minute: "2-digit", hour12: false });
  const midnight = new Date(nowMs).setHours(0, 0, 0, 0);
  const days = Math.floor((at.getTime() - midnight) / (DAY_S * 1000));
  if (days === 0) return `today at ${time}`;
  if (days === 1) return `tomorrow at ${time}`;
  return `${at.toLocaleDateString(LOCALE, { month: "short", day: "numeric" })} at ${time}`;
}

/** What a field for date and time holds, in the reader's own time zone. */
export function toLocalInput(unixSeconds: number): string {
  const at = new Date(unixSeconds * 1000);
  return new Date(at.getTime() - at.getTimezoneOffset() * MINUTE_S * 1000).toISOString().slice(0, 16);
}

export function fromLocalInput(value: string): number | null {
  const at = new Date(value).getTime();
  return Number.isNaN(at) ? null : Math.floor(at / 1000);
}

/** The day of a moment in the reader's time zone: "Nov 28, 2026". */
export function dayOf(unixSeconds: number): string {
  return date.format(unixSeconds * 1000);
}

export function dayLabel(isoDate: string): string {
  return day.format(new Date(`${isoDate}T00:00:00Z`));
}

export function relativeTime(unixSeconds: number, nowMs: number): string {
  const delta = unixSeconds - nowMs / 1000;
  const age = Math.abs(delta);
  if (age < 45) return delta > 0 ? "in a moment" : "just now";
  if (age < 50 * MINUTE_S) return relative.format(Math.round(delta / MINUTE_S), "minute");
  if (age < 22 * HOUR_S) return relative.format(Math.round(delta / HOUR_S), "hour");
  if (age < 30 * DAY_S) return relative.format(Math.round(delta / DAY_S), "day");
  return exact.format(unixSeconds * 1000);
}
