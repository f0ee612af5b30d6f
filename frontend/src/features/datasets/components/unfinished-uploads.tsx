import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Notice } from "@/components/ui/notice";
import { keptUploads, type KeptUpload } from "@/api/kept-upload";
import { giveUp } from "@/api/send-in-parts";
import { uploadQuery } from "@/features/datasets/queries";
import { useSession } from "@/features/session/queries";
import { bytes, percent } from "@/lib/format";

/** Large files that this browser began to send and that have not arrived whole. */
export function UnfinishedUploads() {
  const workspaceId = useSession().workspace.id;
  const [kept, setKept] = useState(() => keptUploads(workspaceId));
  const forget = (upload: KeptUpload) => {
    setKept((all) => all.filter((one) => one !== upload));
    void giveUp(workspaceId, upload);
  };
  return kept.map((upload) => (
    <Unfinished key={upload.uploadId} kept={upload} onForget={() => forget(upload)} />
  ));
}

function Unfinished({ kept, onForget }: { kept: KeptUpload; onForget: () => void }) {
  const found = useQuery(uploadQuery(kept.uploadId));
  if (found.data?.status !== "pending") return null;
  const arrived = found.data.parts.reduce((sum, part) => sum + part.bytes, 0);
  return (
    <Notice
      tone="quiet"
      title={`“${kept.name}” has not arrived whole`}
      action={
        <Button variant="default" size="xs" onClick={onForget}>
          Forget it
        </Button>
      }
    >
      <p>
        {percent(Math.min(1, arrived / kept.size))} of {bytes(kept.size)} is here. Choose the same file again,
        and only the rest is sent.
      </p>
    </Notice>
  );
}
