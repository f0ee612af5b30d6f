import { Button } from "@mantine/core";
import { useRef, useState, type DragEvent } from "react";
import { Sprig } from "@/components/ui/sprig";
import { Stitches } from "@/components/ui/stitches";
import type { Sending } from "@/features/datasets/components/use-upload";
import { bytes, percent } from "@/lib/format";
import classes from "./drop-zone.module.css";

interface DropZoneProps {
  onFile: (file: File) => void;
  upload: Sending | null;
  onStop: () => void;
}

export function DropZone({ onFile, upload, onStop }: DropZoneProps) {
  const input = useRef<HTMLInputElement>(null);
  const [isOver, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file && !upload) onFile(file);
  };
  return (
    // Dropping is a convenience for a mouse; the button inside does the same for everyone.

    <div
      className={classes.zone}
      data-over={isOver || undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      {upload ? (
        <div className={classes.progress}>
          <p>
            <strong>{upload.name}</strong> · {bytes(upload.size)}
          </p>
          <Stitches fraction={upload.fraction} label={`Sending ${upload.name}`} />
          <p className={classes.hint} role="status">
            {progressOf(upload)}
          </p>
          <Button variant="default" onClick={onStop}>
            Stop
          </Button>
        </div>
      ) : (
        <>
          <Sprig />
          <p className={classes.call}>Drop a spreadsheet of questions and good answers</p>
          <p className={classes.hint}>
            A CSV or JSONL file; one row is one example. Pairs of answers and plain text (.txt, .md) work too.
          </p>
          <Button onClick={() => input.current?.click()}>Choose a file</Button>
        </>
      )}
      <input
        ref={input}
        type="file"
        accept=".csv,.jsonl,.txt,.md,.markdown,text/csv,application/jsonl,text/plain,text/markdown"
        className="visually-hidden"
        aria-label="File with examples"
        tabIndex={-1}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = "";
          if (file) onFile(file);
        }}
      />
    </div>
  );
}

function progressOf({ fraction, isBroken, isInParts }: Sending): string {
  if (isBroken)
    return `The server cannot be reached. ${isInParts ? `${percent(fraction)} of it is safe there. ` : ""}This goes on by itself; leave the page open.`;
  if (fraction === 1) return isInParts ? "Sent. Putting it together…" : "Sent. Reading the first rows…";
  return `${percent(fraction)} sent`;
}
