import type { ReactNode } from "react";
import classes from "./notice.module.css";

interface NoticeProps {
  tone: "good" | "quiet" | "warn" | "bad";
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}

/** A sentence that must not be missed, in place, with what to do about it. */
export function Notice({ tone, title, children, action }: NoticeProps) {
  return (
    <div className={classes.notice} data-tone={tone} role={tone === "bad" ? "alert" : "status"}>
      <strong>{title}</strong>
      {children && <div className={classes.body}>{children}</div>}
      {action && <div className={classes.action}>{action}</div>}
    </div>
  );
}
