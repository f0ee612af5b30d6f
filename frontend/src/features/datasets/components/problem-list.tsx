import type { Problem } from "@/api/types";
import { count, plural } from "@/lib/format";
import classes from "./problem-list.module.css";

const SHOWN = 20;

function place(problem: Problem): string {
  const parts = [
    ...(problem.row === null ? [] : [`row ${count(problem.row)}`]),
    ...(problem.column === null ? [] : [`column “${problem.column}”`]),
  ];
  return parts.length > 0 ? parts.join(", ") : "whole file";
}

interface ProblemListProps {
  problems: Problem[];
  total: number;
}

/** Each problem with its place, its cause and its cure. */
export function ProblemList({ problems, total }: ProblemListProps) {
  return (
    <div className={classes.problems}>
      <ul>
        {problems.slice(0, SHOWN).map((problem, index) => (
          <li key={index} data-severity={problem.severity}>
            <span className={classes.place}>{place(problem)}</span>
            <span>
              {problem.cause} <span className={classes.fix}>{problem.fix}</span>
            </span>
          </li>
        ))}
      </ul>
      {total > SHOWN && (
        <p className={classes.fix}>and {plural(total - Math.min(SHOWN, problems.length), "more problem")}</p>
      )}
    </div>
  );
}
