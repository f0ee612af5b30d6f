import { Tooltip } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./tip.module.css";

/** A word with its explanation, reachable by mouse, finger and keyboard. */
export function Tip({ label, children }: { label: ReactNode; children: ReactNode }) {
  return (
    <Tooltip label={label}>
      <button type="button" className={classes.tip}>
        {children}
      </button>
    </Tooltip>
  );
}
