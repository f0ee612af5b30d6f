import type { Run } from "@/api/types";
import { Stitches } from "@/components/ui/stitches";
import { RunSteps } from "@/features/training/components/run-steps";
import { stageSentence, stepOf } from "@/features/training/components/wording";
import { isFinished } from "@/features/training/queries";
import { count, durationRange } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "./run-progress.module.css";

const SPREAD = 0.15;

function timeLeft(run: Run): string | null {
  if (run.cancel_requested) return "Stopping at the next safe point.";
  if (run.pause_requested || run.status === "paused") return null;
  const left = run.progress?.seconds_left;
  if (left !== null && left !== undefined && run.stage === "training") {
    return `Ready in ${durationRange(left * (1 - SPREAD), left * (1 + SPREAD))}.`;
  }
  return null;
}

export function RunProgress({ run }: { run: Run }) {
  const isStopped = run.status === "failed" || run.status === "cancelled";
  const { progress } = run;
  const now = useNow();
  const isCounting = progress !== null && progress.total_steps > 0;
  return (
    <div className={classes.progress}>
      <RunSteps current={stepOf(run)} isStopped={isStopped} isPaused={run.status === "paused"} />
      {!isFinished(run) && (
        <>
          <Stitches
            fraction={isCounting ? progress.fraction : run.status === "running" ? null : 0}
            label="Progress of the run"
          />
          <p className={classes.line}>
            <span>
              {stageSentence(run, now)} {timeLeft(run)}
            </span>
            {isCounting && (
              <span className={classes.steps}>
                step {count(progress.step)} of {count(progress.total_steps)}
              </span>
            )}
          </p>
          {run.warning && run.status !== "paused" && <p className={classes.warning}>{run.warning.message}</p>}
        </>
      )}
    </div>
  );
}
