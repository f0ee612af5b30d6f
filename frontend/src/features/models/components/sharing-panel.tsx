import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import classes from "@/features/models/components/sharing-panel.module.css";
import { sharesQuery, useShareModel, useUnshareModel, type Share } from "@/features/models/queries";

/** Which other workspaces may talk to this model; for admins. */
export function SharingPanel({ modelId }: { modelId: string }) {
  const shares = useQuery(sharesQuery(modelId));
  return (
    <Section
      title="Who else may use it"
      lead="Another workspace can talk to this model without seeing your examples or your run. You can take that back at any time."
    >
      <QueryView query={shares} what="the list" skeleton={<SkeletonLines count={2} height={32} />}>
        {(list) => list.length > 0 && <Shares modelId={modelId} shares={list} />}
      </QueryView>
      <ShareForm modelId={modelId} />
    </Section>
  );
}

function Shares({ modelId, shares }: { modelId: string; shares: Share[] }) {
  const takeBack = useUnshareModel(modelId);
  const columns: TableColumn<Share>[] = [
    { key: "workspace", title: "Workspace", cell: (share) => <code>{share.project_id}</code> },
    { key: "since", title: "Since", cell: (share) => <TimeAgo at={share.created_at} /> },
    {
      key: "stop",
      title: "",
      align: "end",
      cell: (share) => (
        <Button
          variant="default"
          size="xs"
          loading={takeBack.isPending && takeBack.variables === share.id}
          onClick={() => takeBack.mutate(share.id, { onError: tellFailure })}
          aria-label={`Take back from ${share.project_id}`}
        >
          Take back
        </Button>
      ),
    },
  ];
  return <Table label="Who else may use it" columns={columns} items={shares} rowKey={(share) => share.id} />;
}

function ShareForm({ modelId }: { modelId: string }) {
  const [workspaceId, setWorkspaceId] = useState("");
  const share = useShareModel(modelId);
  const wanted = workspaceId.trim();
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (wanted) share.mutate(wanted, { onSuccess: () => setWorkspaceId("") });
      }}
    >
      <TextInput
        label="Id of the workspace"
        description="Its people find it under Settings, Workspace."
        placeholder="ws_…"
        value={workspaceId}
        onChange={(event) => {
          setWorkspaceId(event.currentTarget.value);
          share.reset();
        }}
        error={share.isError ? messageOf(share.error) : null}
      />
      <Button type="submit" variant="default" disabled={!wanted} loading={share.isPending}>
        Let them use it
      </Button>
    </form>
  );
}
