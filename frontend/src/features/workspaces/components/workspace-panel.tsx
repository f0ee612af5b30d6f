import { Button, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState, type ReactNode, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { CodeBlock } from "@/components/ui/code-block";
import { Confirm } from "@/components/ui/confirm";
import { Facts } from "@/components/ui/facts";
import { offerUndo, tell, tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { roleLabel } from "@/components/ui/roles";
import { leaveWorkspace, useCan, useSession } from "@/features/session/queries";
import { restoreWorkspace, useArchiveWorkspace, useRenameWorkspace } from "@/features/workspaces/queries";
import classes from "./workspace-panel.module.css";

/** `children` are what else is set for a workspace. */
export function WorkspacePanel({ children }: { children?: ReactNode }) {
  const { workspace, role } = useSession();
  const isAdmin = useCan()("workspace:admin");
  return (
    <div className={classes.panel}>
      <Section title="This workspace">
        {isAdmin ? <NameForm /> : <Facts facts={[{ label: "Name", value: workspace.name }]} />}
        <Facts
          facts={[
            { label: "Your role", value: roleLabel(role) },
            {
              label: "Short name",
              value: <code>{workspace.slug}</code>,
              note: "a part of your models’ names, so it never changes",
            },
          ]}
        />
      </Section>
      <Section
        title="For engineers"
        lead="The official client knows a workspace as a project. A key belongs to one, so the id may be left out."
      >
        <CodeBlock label="The id of this workspace" code={workspace.id} />
      </Section>
      {children}
      {isAdmin && <Archive />}
    </div>
  );
}

function NameForm() {
  const { workspace } = useSession();
  const rename = useRenameWorkspace();
  const [name, setName] = useState(workspace.name);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    rename.mutate(
      { id: workspace.id, name },
      { onSuccess: (renamed) => tell(`The workspace is called “${renamed.name}” now.`) },
    );
  };
  return (
    <form className={classes.row} onSubmit={submit}>
      <TextInput
        w={300}
        maw="100%"
        label="Name"
        required
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={rename.error && messageOf(rename.error)}
      />
      <Button
        type="submit"
        variant="default"
        loading={rename.isPending}
        disabled={name.trim() === workspace.name}
      >
        Rename
      </Button>
    </form>
  );
}

function Archive() {
  const { workspace } = useSession();
  const client = useQueryClient();
  const navigate = useNavigate();
  const archive = useArchiveWorkspace();
  const [isAsking, setAsking] = useState(false);
  const archiveIt = () =>
    archive.mutate(workspace.id, {
      onSuccess: () => {
        offerUndo(`“${workspace.name}” is archived.`, () => restoreWorkspace(client, workspace.id));
        void leaveWorkspace(client);
        void navigate({ to: "/" });
      },
      onError: (error) => {
        setAsking(false);
        tellFailure(error);
      },
    });
  return (
    <Section
      title="Archive"
      lead="For a team that is done. Nothing is deleted, and an admin can open it again."
    >
      <div>
        <Button variant="default" onClick={() => setAsking(true)}>
          Archive this workspace
        </Button>
      </div>
      <Confirm
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title={`Archive ${workspace.name}?`}
        action="Archive it"
        isBusy={archive.isPending}
        onConfirm={archiveIt}
      >
        <p>
          Nobody can enter it, and its API keys are refused. What is being made there now is still made to its
          end. Data, models and people stay as they are for when it is opened again.
        </p>
      </Confirm>
    </Section>
  );
}
