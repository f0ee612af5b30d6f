import type { ReactNode } from "react";
import classes from "./paging.module.css";

interface PagingProps {
  /** The way back, on every page but the first. */
  newest: ReactNode;
  /** The way on, where there is more. */
  older: ReactNode;
}

/** The ways to the other pages of a long list, which begins with the newest. */
export function Paging({ newest, older }: PagingProps) {
  if (!newest && !older) return null;
  return (
    <nav className={classes.paging} aria-label="Pages">
      {newest}
      {older}
    </nav>
  );
}
