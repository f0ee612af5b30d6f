import { exactTime, relativeTime } from "@/lib/format";
import { useNow } from "@/lib/use-now";

/** A moment to come, as a distance from now. */
export function TimeUntil({ at }: { at: number }) {
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={exactTime(at)}>
      {relativeTime(at, useNow())}
    </time>
  );
}
