import { Skeleton } from "@mantine/core";
import classes from "./states.module.css";

interface LinesProps {
  count?: number;
  height?: number;
}

/** Stands in for a list whose rows are `height` tall, so that nothing jumps when it arrives. */
export function SkeletonLines({ count = 4, height = 20 }: LinesProps) {
  return (
    <div className={classes.lines}>
      {Array.from({ length: count }, (_, index) => (
        <Skeleton key={index} height={height} width={index % 3 === 2 ? "82%" : "100%"} />
      ))}
    </div>
  );
}
