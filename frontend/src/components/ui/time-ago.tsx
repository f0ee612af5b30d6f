import { exactTime, relativeTime } from "@/lib/format";
import { useNow } from "@/lib/use-now";

export function TimeAgo({ at }: { at: number }) {
  const now = useNow();
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={exactTime(at)}>
      {relativeTime(at, now)}
    </time>
  );
}
