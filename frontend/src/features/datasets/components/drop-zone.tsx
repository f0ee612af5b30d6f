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

/** What can be read; what is dropped is judged by the server alone, which says why it cannot be used. */
const ENDINGS =
  ".xlsx,.xlsm,.xls,.ods,.csv,.tsv,.tab,.json,.jsonl,.ndjson,.parquet,.txt,.md,.markdown,.docx,.pdf,.gz,.zst,.zip";

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
            Excel, CSV, JSON or Parquet; one row is one example. Texts (Word, PDF, .txt, .md) and packed files
            (.zip, .gz) work too.
          </p>
          <Button onClick={() => input.current?.click()}>Choose a file</Button>
        </>
      )}
      <input
        ref={input}
        type="file"
        accept={ENDINGS}
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
