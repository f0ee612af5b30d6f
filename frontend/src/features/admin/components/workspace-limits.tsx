import { Button, NumberInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import type { AdminQueue, QueueShare } from "@/api/types";
import { tell, tellFailure } from "@/components/ui/notices";
import { Table, type TableColumn } from "@/components/ui/table";
import { QUEUES } from "@/features/admin/components/wording";
import { useChangeLimit } from "@/features/admin/mutations";
import { count } from "@/lib/format";
import classes from "./workspace-limits.module.css";

interface Share extends QueueShare {
  queue: AdminQueue["name"];
}

const COLUMNS: TableColumn<Share>[] = [
  {
    key: "name",
    title: "Workspace",
    sortBy: (share) => share.name,
    cell: (share) => (
      <>
        {share.name} <small className={classes.queue}>{QUEUES[share.queue]}</small>
      </>
    ),
  },
  {
    key: "running",
    title: "Running",
    align: "end",
    sortBy: (share) => share.num_running,
    cell: (share) => count(share.num_running),
  },
  {
    key: "waiting",
    title: "Waiting",
    align: "end",
    sortBy: (share) => share.num_waiting,
    cell: (share) => count(share.num_waiting),
  },
  { key: "limit", title: "At most at once", align: "end", cell: (share) => <Limit share={share} /> },
];

/** Who uses the queues how much, and how much of them at once. */
export function WorkspaceLimits({ queues }: { queues: AdminQueue[] }) {
  const shares = queues.flatMap((queue) =>
    queue.workspaces.map((share) => ({ ...share, queue: queue.name })),
  );
  if (shares.length === 0) return <p>No workspace has jobs yet.</p>;
  return (
    <Table
      label="Jobs by workspace"
      columns={COLUMNS}
      items={shares}
      rowKey={(share) => `${share.queue}/${share.workspace_id}`}
    />
  );
}

function Limit({ share }: { share: Share }) {
  const [isOpen, setOpen] = useState(false);
  if (isOpen) return <LimitForm share={share} onDone={() => setOpen(false)} />;
  return (
    <span className={classes.limit}>
      {share.max_running === null ? "no limit" : count(share.max_running)}
      <Button
        size="compact-sm"
        variant="subtle"
        onClick={() => setOpen(true)}
        aria-label={`Change the limit of ${share.name}, ${QUEUES[share.queue]}`}
      >
        Change
      </Button>
    </span>
  );
}

function LimitForm({ share, onDone }: { share: Share; onDone: () => void }) {
  const change = useChangeLimit();
  const [value, setValue] = useState<number | string>(share.max_running ?? "");
  const save = (event: SubmitEvent) => {
    event.preventDefault();
    change.mutate(
      {
        queue: share.queue,
        workspaceId: share.workspace_id,
        maxRunning: typeof value === "number" ? value : null,
      },
      {
        onError: tellFailure,
        onSuccess: () => {
          tell(
            typeof value === "number"
              ? `${share.name} may now have ${count(value)} running at once.`
              : `${share.name} has no limit of its own any more.`,
          );
          onDone();
        },
      },
    );
  };
  return (
    <form className={classes.limit} onSubmit={save}>
      <NumberInput
        aria-label={`Most jobs of ${share.name} at once`}
        size="xs"
        w={90}
        min={0}
        max={10_000}
        allowDecimal={false}
        placeholder="no limit"
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
