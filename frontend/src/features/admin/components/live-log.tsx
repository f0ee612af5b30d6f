import { Button, CopyButton } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import type { AdminJob, LogChunk } from "@/api/types";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { isOver } from "@/features/admin/components/wording";
import { logQuery } from "@/features/admin/queries";
import { download } from "@/lib/download";
import { terminalText } from "@/lib/terminal-text";
import classes from "./live-log.module.css";

const LOOK_MS = 1500;
const SHOWN_CHARS = 200_000;
const AT_END_PX = 24;

function textOf(chunks: LogChunk[]): string {
  const attempts = new Map<number, string[]>();
  for (const chunk of chunks)
    attempts.set(chunk.attempt, [...(attempts.get(chunk.attempt) ?? []), chunk.text]);
  const parts = [...attempts].map(([attempt, texts]) => ({ attempt, text: terminalText(texts.join("")) }));
  if (parts.length <= 1) return parts[0]?.text ?? "";
  return parts.map(({ attempt, text }) => `--- try ${attempt} ---\n${text}`).join("\n");
}

/** What the job prints, as it prints it. Scrolling up holds it still; going back to the end follows again. */
export function LiveLog({ job }: { job: AdminJob }) {
  const client = useQueryClient();
  const [isFollowing, setFollowing] = useState(true);
  const isDone = isOver(job);
  const log = useQuery({
    ...logQuery(client, job.id),
    refetchInterval: isFollowing && !isDone ? LOOK_MS : false,
  });
  const text = useMemo(() => textOf(log.data ?? []), [log.data]);
  return (
    <Section
      title="What it prints"
      lead={
        isDone
          ? "It is over; this is all."
          : isFollowing
            ? "Following."
            : "Held still. New lines come when you follow again."
      }
      actions={
        <>
          {!isDone && (
            <Button size="compact-sm" variant="default" onClick={() => setFollowing(!isFollowing)}>
              {isFollowing ? "Hold still" : "Follow"}
            </Button>
          )}
          <CopyButton value={text}>
            {({ copied, copy }) => (
              <Button size="compact-sm" variant="subtle" onClick={copy} disabled={text === ""}>
                {copied ? "Copied" : "Copy all"}
              </Button>
            )}
          </CopyButton>
          <Button
            size="compact-sm"
            variant="subtle"
            disabled={text === ""}
            onClick={() => download(`${job.id}.log`, new Blob([text], { type: "text/plain" }))}
          >
            Download
          </Button>
        </>
      }
    >
      <QueryView query={log} what="the log" skeleton={<SkeletonLines count={6} height={18} />}>
        {() => <Text text={text} isFollowing={isFollowing && !isDone} onHold={() => setFollowing(false)} />}
      </QueryView>
    </Section>
  );
}

interface TextProps {
  text: string;
  isFollowing: boolean;
  onHold: () => void;
}

function Text({ text, isFollowing, onHold }: TextProps) {
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (isFollowing && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, isFollowing]);
  if (text === "") return <p>It has printed nothing yet.</p>;
  const isCut = text.length > SHOWN_CHARS;
  const holdWhenScrolledUp = () => {
    const element = box.current;
    if (!element || !isFollowing) return;
    if (element.scrollHeight - element.scrollTop - element.clientHeight > AT_END_PX) onHold();
  };
  return (
    <>
      {isCut && <p className={classes.cut}>The beginning is left out here. The download has all of it.</p>}
      <pre
        ref={box}
        className={classes.log}
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrolling region must be reachable by keyboard
        tabIndex={0}
        aria-label="What the job printed"
        onScroll={holdWhenScrolledUp}
      >
        {isCut ? text.slice(text.indexOf("\n", text.length - SHOWN_CHARS) + 1) : text}
      </pre>
    </>
  );
}
