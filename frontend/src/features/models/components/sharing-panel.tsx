import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import classes from "@/features/models/components/sharing-panel.module.css";
import { sharesQuery, useShareModel, useUnshareModel, type Share } from "@/features/models/queries";
import { useSession } from "@/features/session/queries";

const BY_ID = "by-id";

interface Known {
  id: string;
  name: string;
}

/** Which other workspaces may talk to this model; for admins. */
export function SharingPanel({ modelId }: { modelId: string }) {
  const shares = useQuery(sharesQuery(modelId));
  const { workspace: here, workspaces } = useSession();
  const others = workspaces.filter(({ id }) => id !== here.id);
  return (
    <Section
      title="Who else may use it"
      lead="Another workspace can talk to this model without seeing your examples or your run. You can take that back at any time."
    >
      <QueryView query={shares} what="the list" skeleton={<SkeletonLines count={2} height={32} />}>
        {(list) => (
          <>
            {list.length > 0 && <Shares modelId={modelId} shares={list} known={others} />}
            <ShareForm
              modelId={modelId}
              choices={others.filter(({ id }) => list.every((share) => share.project_id !== id))}
            />
          </>
        )}
      </QueryView>
    </Section>
  );
}

interface SharesProps {
  modelId: string;
  shares: Share[];
  known: Known[];
}

function Shares({ modelId, shares, known }: SharesProps) {
  const takeBack = useUnshareModel(modelId);
  const nameOf = (share: Share) => known.find(({ id }) => id === share.project_id)?.name;
  const columns: TableColumn<Share>[] = [
    {
      key: "workspace",
      title: "Workspace",
      // of one that is not one's own nothing but the id is known
      cell: (share) => nameOf(share) ?? <code>{share.project_id}</code>,
    },
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
          aria-label={`Take back from ${nameOf(share) ?? share.project_id}`}
        >
          Take back
        </Button>
      ),
    },
  ];
  return <Table label="Who else may use it" columns={columns} items={shares} rowKey={(share) => share.id} />;
}

/** One's own workspaces are chosen by name; of all others their people must tell the id. */
function ShareForm({ modelId, choices }: { modelId: string; choices: Known[] }) {
  const share = useShareModel(modelId);
  const [chosen, setChosen] = useState("");
  const [typed, setTyped] = useState("");
  const isById = choices.length === 0 || chosen === BY_ID;
  const wanted = isById ? typed.trim() : chosen;
  const error = share.isError ? messageOf(share.error) : null;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!wanted) return;
    share.mutate(wanted, {
      onSuccess: () => {
        setChosen("");
        setTyped("");
      },
    });
  };
  return (
    <form className={classes.form} onSubmit={submit}>
      {choices.length > 0 && (
        <NativeSelect
          label="Workspace"
          data={[
            { value: "", label: "Choose one of yours" },
            ...choices.map(({ id, name }) => ({ value: id, label: name })),
            { value: BY_ID, label: "Another one, by its id" },
          ]}
          value={chosen}
          onChange={(event) => {
            setChosen(event.currentTarget.value);
            share.reset();
          }}
          error={isById ? null : error}
        />
      )}
      {isById && (
        <TextInput
          label="Id of the workspace"
          description="Its people find it under Settings, Workspace."
          placeholder="ws_…"
          value={typed}
          onChange={(event) => {
            setTyped(event.currentTarget.value);
            share.reset();
          }}
          error={error}
        />
      )}
      <Button type="submit" variant="default" disabled={!wanted} loading={share.isPending}>
        Let them use it
      </Button>
    </form>
  );
}
