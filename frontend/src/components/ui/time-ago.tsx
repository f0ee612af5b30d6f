import { exactTime, relativeTime } from "@/lib/format";
import { useNow } from "@/lib/use-now";

/** A moment that has been. One that is newer than this page's last look at the clock is now, not to come. */
export function TimeAgo({ at }: { at: number }) {
  const now = Math.max(useNow(), at * 1000);
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={exactTime(at)}>
      {relativeTime(at, now)}
    </time>
  );
}
