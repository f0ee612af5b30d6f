import { Button, Group, Menu, Modal, NativeSelect, TextInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { ApiKey, CreatedApiKey } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { useRenameKey, useRevokeKey, useRotateKey } from "@/features/settings/queries";

const HOUR_S = 3600;
const OVERLAPS = [
  { value: String(24 * HOUR_S), label: "For another day" },
  { value: String(HOUR_S), label: "For another hour" },
  { value: "0", label: "Not at all: it may be in the wrong hands" },
];

type Doing = "rename" | "rotate" | "revoke" | null;

interface KeyActionsProps {
  apiKey: ApiKey;
  /** Whoever gets a key's new secret holds the key: of a person's, only that person. */
  mayRotate: boolean;
  onMade: (made: CreatedApiKey) => void;
}

export function KeyActions({ apiKey, mayRotate, onMade }: KeyActionsProps) {
  const [doing, setDoing] = useState<Doing>(null);
  const revoke = useRevokeKey();
  const close = () => setDoing(null);
  const revokeIt = () =>
    revoke.mutate(apiKey.id, {
      onSuccess: () => {
        close();
        tell(`“${apiKey.name}” opens nothing any more.`);
      },
      onError: tellFailure,
    });
  return (
    <>
      <Menu position="bottom-end" width={180}>
        <Menu.Target>
          <Button size="compact-sm" variant="subtle" aria-label={`Change ${apiKey.name}`}>
            Change
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => setDoing("rename")}>Rename</Menu.Item>
          {mayRotate && <Menu.Item onClick={() => setDoing("rotate")}>Give it a new secret</Menu.Item>}
          <Menu.Item onClick={() => setDoing("revoke")}>Revoke</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal
        opened={doing === "rename"}
        onClose={close}
        title="Rename the key"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <Rename apiKey={apiKey} onDone={close} />
      </Modal>
      <Modal
        opened={doing === "rotate"}
        onClose={close}
        title="Give the key a new secret?"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <Rotate
          apiKey={apiKey}
          onCancel={close}
          onMade={(made) => {
            close();
            onMade(made);
          }}
        />
      </Modal>
      <Confirm
        isOpen={doing === "revoke"}
        onClose={close}
        title="Revoke this key?"
        action="Revoke the key"
        isBusy={revoke.isPending}
        onConfirm={revokeIt}
      >
        <p>Programs that use “{apiKey.name}” are refused from now on. This cannot be taken back.</p>
      </Confirm>
    </>
  );
}

function Rename({ apiKey, onDone }: { apiKey: ApiKey; onDone: () => void }) {
  const rename = useRenameKey();
  const [name, setName] = useState(apiKey.name);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    rename.mutate({ id: apiKey.id, name: name.trim() }, { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit}>
      <TextInput
        label="Name"
        data-autofocus
        required
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={rename.error && messageOf(rename.error)}
      />
      <Group justify="flex-end" mt="lg" gap="xs">
        <Button variant="default" onClick={onDone}>
          Keep the old name
        </Button>
        <Button type="submit" loading={rename.isPending}>
          Rename
        </Button>
      </Group>
    </form>
  );
}

interface RotateProps {
  apiKey: ApiKey;
  onCancel: () => void;
  onMade: (made: CreatedApiKey) => void;
}

function Rotate({ apiKey, onCancel, onMade }: RotateProps) {
  const rotate = useRotateKey();
  const [overlapS, setOverlapS] = useState(String(24 * HOUR_S));
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    rotate.mutate({ id: apiKey.id, overlapS: Number(overlapS) }, { onSuccess: onMade, onError: tellFailure });
  };
  return (
    <form onSubmit={submit}>
      <p>“{apiKey.name}” keeps its name and its rights. The new secret works at once.</p>
      <NativeSelect
        mt="md"
        label="The old secret goes on to work"
        data={OVERLAPS}
        value={overlapS}
        onChange={(event) => setOverlapS(event.currentTarget.value)}
      />
      <Group justify="flex-end" mt="lg" gap="xs">
        <Button variant="default" onClick={onCancel}>
          Keep the old one
        </Button>
        <Button type="submit" loading={rotate.isPending}>
          New secret
        </Button>
      </Group>
    </form>
  );
}
