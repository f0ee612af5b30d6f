import classes from "./status.module.css";

export type Tone = "good" | "busy" | "quiet" | "paused" | "warn" | "bad";

/** A state in words; the shape in front differs by tone, so that it is told without colour too. */
export function Status({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span className={classes.status} data-tone={tone}>
      <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true">
        {tone === "good" && <path d="M1.5 5.5 4 8l4.5-6" fill="none" stroke="currentColor" strokeWidth="2" />}
        {tone === "busy" && (
          <path
            d="M0 5h4M6 5h4"
            fill="none"
            stroke="currentColor"
            strokeWidth="2.5"
            className={classes.moving}
          />
        )}
        {tone === "quiet" && (
          <circle cx="5" cy="5" r="3.5" fill="none" stroke="currentColor" strokeWidth="1.5" />
        )}
        {tone === "paused" && (
          <path d="M3 1.500v7M7 1.500v7" fill="none" stroke="currentColor" strokeWidth="2" />
        )}
        {tone === "warn" && <path d="M5 .8 9.6 9.200H.4z" fill="currentColor" />}
        {tone === "bad" && <path d="M2 2l6 6M8 2 2 8" fill="none" stroke="currentColor" strokeWidth="2" />}
      </svg>
      {children}
    </span>
  );
}
