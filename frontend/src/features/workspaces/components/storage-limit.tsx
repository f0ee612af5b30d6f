import { Button, NumberInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import type { AdminWorkspace } from "@/api/types";
import { tell, tellFailure } from "@/components/ui/notices";
import { useChangeStorage } from "@/features/workspaces/queries";
import { bytes } from "@/lib/format";
import classes from "./storage-limit.module.css";

const GB = 1_000_000_000;

/** What the files of a workspace take, and may; for whoever runs the installation. */
export function StorageLimit({ workspace }: { workspace: AdminWorkspace }) {
  const [isOpen, setOpen] = useState(false);
  if (isOpen) return <LimitForm workspace={workspace} onDone={() => setOpen(false)} />;
  const { num_bytes: taken, max_bytes: most } = workspace;
  return (
    <span className={classes.limit}>
      {bytes(taken)}
      {most === null ? ", no limit" : ` of ${bytes(most)}`}
      <Button
        size="compact-sm"
        variant="subtle"
        onClick={() => setOpen(true)}
        aria-label={`Change the room for files of ${workspace.name}`}
      >
        Change
      </Button>
    </span>
  );
}

function LimitForm({ workspace, onDone }: { workspace: AdminWorkspace; onDone: () => void }) {
  const change = useChangeStorage();
  const own = workspace.has_own_max_bytes ? workspace.max_bytes : null;
  const [value, setValue] = useState<number | string>(own === null ? "" : own / GB);
  const maxBytes = typeof value === "number" ? Math.round(value * GB) : null;
  const save = (event: SubmitEvent) => {
    event.preventDefault();
    change.mutate(
      { id: workspace.id, maxBytes },
      {
        onError: tellFailure,
        onSuccess: () => {
          tell(
            maxBytes === null
              ? `${workspace.name} has as much room as every workspace.`
              : `The files of ${workspace.name} may now take ${bytes(maxBytes)}.`,
          );
          onDone();
        },
      },
    );
  };
  return (
    <form className={classes.limit} onSubmit={save}>
      <NumberInput
        aria-label={`Room for the files of ${workspace.name}, in GB`}
        size="xs"
        w={120}
        min={0.001}
        max={1_000_000}
        decimalScale={3}
        suffix=" GB"
        placeholder="as for all"
        value={value}
        onChange={setValue}
        data-autofocus
      />
      <Button size="xs" type="submit" loading={change.isPending}>
        Save
      </Button>
      <Button size="xs" variant="subtle" onClick={onDone}>
        Leave it
      </Button>
    </form>
  );
}
