import type { Change } from "@/features/training/components/changes";
import classes from "./change-list.module.css";

/** Settings as engineers write them: before → after. */
export function ChangeList({ changes }: { changes: Change[] }) {
  return (
    <ul className={classes.changes}>
      {changes.map((change) => (
        <li key={change.name}>
          <code>
            {change.name} {change.before !== null && <del>{change.before}</del>}
            {change.before !== null && " → "}
            <strong>{change.after}</strong>
          </code>
        </li>
      ))}
    </ul>
  );
}
