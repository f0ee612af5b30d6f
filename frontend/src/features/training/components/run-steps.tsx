import { STEPS } from "@/features/training/components/wording";
import classes from "./run-steps.module.css";

const AFTERWARDS: Record<string, string> = {
  done: ", done",
  stopped: ", stopped here",
  paused: ", paused here",
};

interface RunStepsProps {
  current: number;
  isStopped: boolean;
  isPaused: boolean;
}

/** The seam of a run: sewn where it has been, open where it has yet to go. */
export function RunSteps({ current, isStopped, isPaused }: RunStepsProps) {
  return (
    <ol className={classes.steps} aria-label="Where the run is">
      {STEPS.map((step, index) => {
        const here = isStopped ? "stopped" : isPaused ? "paused" : "now";
        const state = index < current ? "done" : index > current ? "ahead" : here;
        return (
          <li key={step} data-state={state} {...(state === "now" ? { "aria-current": "step" as const } : {})}>
            {step}
            <span className="visually-hidden">{AFTERWARDS[state]}</span>
          </li>
        );
      })}
    </ol>
  );
}
