import classes from "./meter.module.css";

interface MeterProps {
  label: string;
  /** The amount in words: "61 of 80 GB". */
  text: string;
  fraction: number;
}

/** How full something is. */
export function Meter({ label, text, fraction }: MeterProps) {
  const percent = Math.round(Math.max(0, Math.min(1, fraction)) * 100);
  return (
    <div className={classes.meter}>
      <span>
        {label} <em>{text}</em>
      </span>
      <div
        className={classes.track}
        role="meter"
        aria-label={`${label}, ${text}`}
        aria-valuenow={percent}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <div style={{ width: `${percent}%` }} />
      </div>
    </div>
  );
}
