import classes from "./stitches.module.css";

interface StitchesProps {
  /** 0 to 1; null while nobody knows. */
  fraction: number | null;
  label: string;
}

/** Progress as a seam being sewn: each stitch done is a dash of thread. */
export function Stitches({ fraction, label }: StitchesProps) {
  const done = Math.max(0, Math.min(1, fraction ?? 0));
  const value = fraction === null ? {} : { "aria-valuenow": Math.round(done * 100) };
  return (
    <div
      className={classes.seam}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...value}
    >
      <div
        className={classes.thread}
        data-waiting={fraction === null || undefined}
        style={{ clipPath: fraction === null ? "none" : `inset(0 ${(1 - done) * 100}% 0 0)` }}
      />
    </div>
  );
}
