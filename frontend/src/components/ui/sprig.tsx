interface SprigProps {
  /** bare: leaves only; cut: the thread has come loose. */
  variant?: "stitched" | "bare" | "cut";
}

/** Two leaves and the thread that holds them: the picture of an empty or broken page. */
export function Sprig({ variant = "stitched" }: SprigProps) {
  return (
    <svg width="96" height="64" viewBox="0 0 96 64" fill="none" aria-hidden="true" color="var(--accent)">
      <path d="M8 56C6 30 22 10 46 8c2 26-10 46-38 48z" fill="var(--accent-wash)" />
      <path d="M88 56C92 30 76 12 52 12c-2 24 10 42 36 44z" fill="var(--accent-wash)" />
      <path d="M8 56C18 42 28 28 40 16M88 56C78 44 68 32 58 20" stroke="currentColor" strokeOpacity=".45" />
      {variant === "stitched" && (
        <path
          d="M38 24l18 4M36 34l24 2M38 45l20-1"
          stroke="currentColor"
          strokeWidth="2"
          strokeLinecap="round"
        />
      )}
      {variant === "cut" && (
        <path
          d="M38 24l6 1.500M52 27l6 1M36 34l5 .5M62 46c-6 4-4 12 2 13"
          stroke="var(--bad)"
          strokeWidth="2"
          strokeLinecap="round"
        />
      )}
    </svg>
  );
}
