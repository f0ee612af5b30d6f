interface MarkProps {
  size?: number;
}

/** A tailorbird, tail up, its beak drawing a thread through the edge of a leaf. One colour: the text's. */
export function Mark({ size = 24 }: MarkProps) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" aria-hidden="true">
      <path
        d="M2.5 2.5 8 9.2c1.2-2.2 3.2-3.5 5.6-3.5 2 0 3.5 1 4.1 2.6L22 10l-4.2 1.2c-.4 3.7-3.1 6.3-6.6 6.3-3.8 0-6.3-2.8-6.1-6.5z"
        fill="currentColor"
      />
      <circle cx="14.6" cy="8.9" r="1" fill="var(--paper)" />
      <path
        d="M22 10c.6 4.8-2.2 10.5-9 11.5-4.5.6-8-.5-10.5-2"
        stroke="currentColor"
        strokeWidth="1.5"
        strokeLinecap="round"
        strokeDasharray="2.6 2.4"
      />
    </svg>
  );
}
