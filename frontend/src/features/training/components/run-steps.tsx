import { STEPS } from "@/features/training/components/wording";
import classes from "./run-steps.module.css";

/** The seam of a run: sewn where it has been, open where it has yet to go. */
export function RunSteps({ current, isStopped }: { current: number; isStopped: boolean }) {
  return (
    <ol className={classes.steps} aria-label="Where the run is">
      {STEPS.map((step, index) => {
        const state = index < current ? "done" : index > current ? "ahead" : isStopped ? "stopped" : "now";
        return (
          <li key={step} data-state={state} {...(state === "now" ? { "aria-current": "step" as const } : {})}>
            {step}
            <span className="visually-hidden">
              {state === "done" ? ", done" : state === "stopped" ? ", stopped here" : ""}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
