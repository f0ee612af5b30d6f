import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { ApiError } from "@/api/errors";
import type { FileImport, UploadedFile } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Stitches } from "@/components/ui/stitches";
import classes from "@/features/datasets/components/drop-zone.module.css";
import { Refusal } from "@/features/datasets/components/refusal";
import { importQuery, useCancelImport } from "@/features/datasets/queries";
import { bytes, percent } from "@/lib/format";

interface ImportProgressProps {
  id: string;
  onDone: (file: UploadedFile) => void;
  onOther: () => void;
}

/** A file that our side fetches. Its address is the page's, so that a refresh finds it again. */
export function ImportProgress({ id, onDone, onOther }: ImportProgressProps) {
  const found = useQuery(importQuery(id));
  const file = found.data?.file ?? null;
  useEffect(() => {
    if (file) onDone(file);
    // Once for each file, whatever the page hands down anew.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [file?.id]);
  return (
    <QueryView query={found} what="this import" skeleton={<SkeletonLines count={3} height={40} />}>
      {(loaded) => <Shown found={loaded} onOther={onOther} />}
    </QueryView>
  );
}

function Shown({ found, onOther }: { found: FileImport; onOther: () => void }) {
  const cancel = useCancelImport();
  const again = <Button onClick={onOther}>Bring another file</Button>;
  if (found.status === "failed" && found.error) {
    const { code, message, param, details } = found.error;
    const error = new ApiError(400, { message, type: "invalid_request_error", param, code, details });
    return (
      <>
        <Refusal name={found.source} error={error} />
        <div>{again}</div>
      </>
    );
  }
  if (found.status === "cancelled")
    return (
      <Notice tone="quiet" title="Stopped" action={again}>
        <p>Nothing of it was kept.</p>
      </Notice>
    );
  const { id, received_bytes: received, total_bytes: total } = found;
  const fraction = total ? Math.min(1, received / total) : null;
  return (
    <div className={classes.zone}>
      <div className={classes.progress}>
        <p>
          <strong>{found.source}</strong>
        </p>
        <Stitches fraction={fraction} label={`Fetching from ${found.source}`} />
        <p className={classes.hint} role="status">
          {wordsFor(found, fraction)}
        </p>
        <Button
          variant="default"
          loading={cancel.isPending}
          onClick={() => id && cancel.mutate(id, { onError: tellFailure })}
        >
          Stop
        </Button>
        <p className={classes.hint}>You may close this page; it goes on without you.</p>
      </div>
    </div>
  );
}

function wordsFor({ status, received_bytes, total_bytes }: FileImport, fraction: number | null): string {
  if (status === "queued") return "Waiting for its turn…";
  if (fraction === 1) return "Here. Reading the first rows…";
  if (fraction !== null) return `${percent(fraction)} of ${bytes(total_bytes ?? 0)} is here`;
  return received_bytes ? `${bytes(received_bytes)} are here` : "Asking for the file…";
}
