import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { messageOf } from "@/api/errors";

const UNDO_MS = 10_000;

/** Says that something was deleted and offers to take it back. */
export function offerUndo(message: string, undo: () => Promise<unknown>): void {
  const id = notifications.show({
    message: (
      <span>
        {message}{" "}
        <Button
          size="compact-sm"
          variant="subtle"
          onClick={() => {
            notifications.hide(id);
            undo().catch(tellFailure);
          }}
        >
          Undo
        </Button>
      </span>
    ),
    autoClose: UNDO_MS,
    withBorder: true,
  });
}

export function tell(message: string): void {
  notifications.show({ message, withBorder: true });
}

export function tellFailure(error: unknown): void {
  notifications.show({ message: messageOf(error), color: "red", withBorder: true, autoClose: UNDO_MS });
}
