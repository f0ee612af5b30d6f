import { Button } from "@mantine/core";
import { useState } from "react";
import type { WorkerToken } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { useRevokeToken } from "@/features/admin/mutations";
import { plural } from "@/lib/format";

const COLUMNS: TableColumn<WorkerToken>[] = [
  { key: "name", title: "Name", sortBy: (token) => token.name, cell: (token) => token.name },
  {
    key: "state",
    title: "State",
    cell: (token) =>
      token.revoked_at !== null ? (
        <Status tone="quiet">Revoked</Status>
      ) : token.num_workers > 0 ? (
        <Status tone="good">{plural(token.num_workers, "worker")}</Status>
      ) : (
        <Status tone="quiet">No worker now</Status>
      ),
  },
  {
    key: "created",
    title: "Made",
    isSecondary: true,
    sortBy: (token) => token.created_at,
    cell: (token) => <TimeAgo at={token.created_at} />,
  },
  {
    key: "used",
    title: "Last used",
    isSecondary: true,
    sortBy: (token) => token.last_used_at ?? 0,
    cell: (token) => (token.last_used_at === null ? "never" : <TimeAgo at={token.last_used_at} />),
  },
];

/** Every token that was made. A revoked one stays in the list, so that nobody wonders where it went. */
export function TokenList({ tokens }: { tokens: WorkerToken[] }) {
  const [doomed, setDoomed] = useState<WorkerToken | null>(null);
  const revoke = useRevokeToken();
  const columns: TableColumn<WorkerToken>[] = [
    ...COLUMNS,
    {
      key: "revoke",
      title: "",
      align: "end",
      cell: (token) =>
        token.revoked_at === null && (
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => setDoomed(token)}
            aria-label={`Revoke ${token.name}`}
          >
            Revoke
          </Button>
        ),
    },
  ];
  const revokeIt = () =>
    doomed &&
    revoke.mutate(doomed.id, {
      onError: tellFailure,
      onSuccess: () => {
        setDoomed(null);
        tell(`“${doomed.name}” lets nobody in any more.`);
      },
    });
  return (
    <>
      <Table label="Worker tokens" columns={columns} items={tokens} rowKey={(token) => token.id} />
      <Confirm
        isOpen={doomed !== null}
        onClose={() => setDoomed(null)}
        title="Revoke this token?"
        action="Revoke the token"
        isBusy={revoke.isPending}
        onConfirm={revokeIt}
      >
        <p>
          {doomed && doomed.num_workers > 0
            ? `${plural(doomed.num_workers, "worker")} that joined with “${doomed.name}” ${doomed.num_workers === 1 ? "saves" : "save"} the place of what ${doomed.num_workers === 1 ? "it does, hands it" : "they do, hand it"} over and ${doomed.num_workers === 1 ? "stops" : "stop"}.`
            : `No worker uses “${doomed?.name ?? ""}” now.`}{" "}
          Nobody can join with it any more. This cannot be taken back.
        </p>
      </Confirm>
    </>
  );
}
