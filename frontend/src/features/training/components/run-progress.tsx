import type { Run } from "@/api/types";
import { Stitches } from "@/components/ui/stitches";
import { RunSteps } from "@/features/training/components/run-steps";
import { stageSentence, stepOf } from "@/features/training/components/wording";
import { isFinished } from "@/features/training/queries";
import { count, duration, durationRange } from "@/lib/format";
import classes from "./run-progress.module.css";

const SPREAD = 0.15;

function timeLeft(run: Run): string | null {
  if (run.cancel_requested) return "Stopping at the next safe point.";
  const left = run.progress?.seconds_left;
  if (left !== null && left !== undefined && run.stage === "training") {
    return `${durationRange(left * (1 - SPREAD), left * (1 + SPREAD))} left`;
  }
  if (run.status === "queued" && run.starts_in_s) return `Starts in about ${duration(run.starts_in_s)}.`;
  return null;
}

export function RunProgress({ run }: { run: Run }) {
  const isStopped = run.status === "failed" || run.status === "cancelled";
  const { progress } = run;
  const isCounting = progress !== null && progress.total_steps > 0;
  return (
    <div className={classes.progress}>
      <RunSteps current={stepOf(run)} isStopped={isStopped} />
      {!isFinished(run) && (
        <>
          <Stitches fraction={isCounting ? progress.fraction : null} label="Progress of the run" />
          <p className={classes.line}>
            <span>
              {stageSentence(run)} {timeLeft(run)}
            </span>
            {isCounting && (
              <span className={classes.steps}>
                step {count(progress.step)} of {count(progress.total_steps)}
              </span>
            )}
          </p>
        </>
      )}
    </div>
  );
}
