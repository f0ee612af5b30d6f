import { ROLES } from "@/components/ui/roles";
import classes from "./panel.module.css";

/** What each role may do, in plain words, folded away until somebody wonders. */
export function RoleGuide() {
  return (
    <details className={classes.more}>
      <summary>What each role may do</summary>
      <dl className={classes.guide}>
        {ROLES.map((role) => (
          <div key={role.value}>
            <dt>{role.label}</dt>
            <dd>{role.about}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
