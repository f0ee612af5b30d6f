import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import { Notice } from "@/components/ui/notice";
import classes from "./shown-once.module.css";

interface ShownOnceProps {
  title: string;
  /** What it is good for, and who may have it. */
  note: ReactNode;
  /** The secret, and what helps to use it. */
  children: ReactNode;
  done?: string;
  onDone: () => void;
  /** Another way on, beside the button that closes it. */
  beside?: ReactNode;
}

/** A secret that is kept nowhere: it stands here until whoever made it says that they have it. */
export function ShownOnce({
  title,
  note,
  children,
  done = "I have copied it",
  onDone,
  beside,
}: ShownOnceProps) {
  return (
    <div className={classes.once}>
      <Notice tone="warn" title={title}>
        {note}
      </Notice>
      {children}
      <div className={classes.ways}>
        <Button onClick={onDone}>{done}</Button>
        {beside}
      </div>
    </div>
  );
}
