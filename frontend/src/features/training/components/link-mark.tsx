import type { Link } from "@/features/training/components/use-run-stream";
import classes from "./link-mark.module.css";

const WORDS: Record<Link, string | null> = {
  connecting: null,
  live: "live",
  reconnecting: "reconnecting",
  closed: null,
};

/** Whether the page hears of every change at once. Quiet: nothing is lost either way. */
export function LinkMark({ link }: { link: Link }) {
  const word = WORDS[link];
  if (!word) return null;
  const title =
    link === "live"
      ? "Every change shows at once."
      : "The connection was lost. We look again every few seconds; the run is not affected.";
  return (
    <span className={classes.mark} data-link={link} title={title} role="status">
      {word}
    </span>
  );
}
