import { Button, Group, Modal, TextInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { useCreateWorkspace } from "@/features/workspaces/queries";

interface NewWorkspaceProps {
  isOpen: boolean;
  onClose: () => void;
  /** With the id of the one that was made. */
  onMade: (id: string) => void;
}

export function NewWorkspace({ isOpen, onClose, onMade }: NewWorkspaceProps) {
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title="Make a workspace"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Form onClose={onClose} onMade={onMade} />
    </Modal>
  );
}

function Form({ onClose, onMade }: Omit<NewWorkspaceProps, "isOpen">) {
  const create = useCreateWorkspace();
  const [name, setName] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    create.mutate(name, { onSuccess: (made) => onMade(made.id) });
  };
  return (
    <form onSubmit={submit}>
      <TextInput
        label="Name"
        description="Of the team or the project. It has its own data, models, people and keys; nothing is shared."
        data-autofocus
        required
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={create.error && messageOf(create.error)}
      />
      <Group justify="flex-end" mt="lg" gap="xs">
        <Button variant="default" onClick={onClose}>
          Not now
        </Button>
        <Button type="submit" loading={create.isPending}>
          Make it
        </Button>
      </Group>
    </form>
  );
}
