import { Button } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { ModelImport } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { Stitches } from "@/components/ui/stitches";
import { isUnderWay, useCancelBringing } from "@/features/models/import-queries";
import { modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import { waitWords } from "@/lib/wait-words";
import classes from "./bring-form.module.css";

const STAGES: Record<string, string> = {
  fetching: "Fetching the files…",
  reading: "Reading what is in them…",
  loading_model: "Loading the base model…",
  checking: "Comparing every part with the base model…",
  asking: "Asking it a few questions…",
  publishing: "Storing it…",
  proving: "Comparing its answers where it will be used…",
};

/** How far a model is that is being brought in, or what came of it. */
export function Bringing({ found }: { found: ModelImport }) {
  const client = useQueryClient();
  const isDone = found.status === "succeeded";
  useEffect(() => {
    if (isDone) void client.invalidateQueries({ queryKey: modelsQuery.queryKey });
  }, [client, isDone]);
  if (isUnderWay(found)) return <UnderWay found={found} />;
  const again = <ButtonLink to="/models/bring">Begin again</ButtonLink>;
  if (found.status === "failed")
    return (
      <Notice tone="bad" title={`“${found.name}” was not brought`} action={again}>
        <p>{found.error?.message ?? "Something went wrong on our side."}</p>
        <p>Nothing of it is used. It cost nothing.</p>
      </Notice>
    );
  if (found.status === "cancelled" || found.model === null)
    return (
      <Notice tone="quiet" title="Stopped" action={again}>
        Nothing of it was kept but the files that you sent.
      </Notice>
    );
  return (
    <Notice
      tone="good"
      title={`“${found.name}” is here`}
      action={
        <ButtonLink to="/models/$modelId" params={{ modelId: found.model }}>
          Look at it
        </ButtonLink>
      }
    >
      Its page says whether it answers here as it should, and how to use it.
    </Notice>
  );
}

function UnderWay({ found }: { found: ModelImport }) {
  const cancel = useCancelBringing();
  const can = useCan();
  const waits = found.status !== "running";
  return (
    <div className={classes.progress}>
      <Stitches fraction={null} label={`Checking ${found.name}`} />
      <p className={classes.hint} role="status">
        {waits ? waitWords(found) : (STAGES[found.stage ?? ""] ?? "Checking it…")} You can close this page; it
        goes on without you.
      </p>
      {can("runs:write") && (
        <Button
          variant="default"
          disabled={found.is_cancelling}
          loading={cancel.isPending}
          onClick={() => cancel.mutate(found.id, { onError: tellFailure })}
        >
          {found.is_cancelling ? "Stopping…" : "Stop"}
        </Button>
      )}
    </div>
  );
}
