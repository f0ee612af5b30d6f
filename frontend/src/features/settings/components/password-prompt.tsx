import { Button, Group, Modal, PasswordInput, Stack } from "@mantine/core";
import { useState, type ReactNode, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";

interface PasswordPromptProps {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  action: string;
  /** The title of what is said when it did not work. */
  failure: string;
  error: unknown;
  isBusy: boolean;
  onSubmit: (password: string) => void;
  children?: ReactNode;
}

/** Asks for the password once more, before one changes how one signs in. */
export function PasswordPrompt({ isOpen, onClose, title, ...rest }: PasswordPromptProps) {
  return (
    <Modal opened={isOpen} onClose={onClose} title={title} closeButtonProps={{ "aria-label": "Close" }}>
      {isOpen && <PromptForm {...rest} onClose={onClose} />}
    </Modal>
  );
}

function PromptForm({
  onClose,
  action,
  failure,
  error,
  isBusy,
  onSubmit,
  children,
}: Omit<PasswordPromptProps, "isOpen" | "title">) {
  const [password, setPassword] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSubmit(password);
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        {children}
        {Boolean(error) && (
          <Notice tone="bad" title={failure}>
            {messageOf(error)}
          </Notice>
        )}
        <PasswordInput
          label="Your password"
          autoComplete="current-password"
          data-autofocus
          required
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={isBusy}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
