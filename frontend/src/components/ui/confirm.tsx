import { Button, Group, Modal } from "@mantine/core";
import type { ReactNode } from "react";

interface ConfirmProps {
  isOpen: boolean;
  onClose: () => void;
  title: string;
  action: string;
  keep?: string;
  onConfirm: () => void;
  isBusy?: boolean;
  /** What it does can be taken back, so it is not red. */
  isHarmless?: boolean;
  children: ReactNode;
}

/** Asks before something that cannot be taken back, and says what it will cost. */
export function Confirm({
  isOpen,
  onClose,
  title,
  action,
  keep = "Keep it",
  onConfirm,
  isBusy = false,
  isHarmless = false,
  children,
}: ConfirmProps) {
  return (
    <Modal opened={isOpen} onClose={onClose} title={title} closeButtonProps={{ "aria-label": "Close" }}>
      {children}
      <Group justify="flex-end" mt="lg" gap="xs">
        <Button variant="default" onClick={onClose}>
          {keep}
        </Button>
        <Button {...(isHarmless ? {} : { color: "red" })} onClick={onConfirm} loading={isBusy}>
          {action}
        </Button>
      </Group>
    </Modal>
  );
}
