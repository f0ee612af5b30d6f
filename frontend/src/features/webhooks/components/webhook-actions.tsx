import { Button, Checkbox } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { MadeWebhook, Webhook } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { useChangeWebhook, useDeleteWebhook, useRotateSecret } from "@/features/webhooks/queries";

interface ActionsProps {
  webhook: Webhook;
  onEdit: () => void;
  onRotated: (made: MadeWebhook) => void;
}

type Question = "off" | "rotate" | "delete";

export function WebhookActions({ webhook, onEdit, onRotated }: ActionsProps) {
  const [question, setQuestion] = useState<Question | null>(null);
  const change = useChangeWebhook(webhook.id);
  const isOff = webhook.status === "disabled";
  const close = () => setQuestion(null);
  const switchOn = () =>
    change.mutate(
      { disabled: false },
      { onSuccess: () => tell(`“${webhook.name}” is on again.`), onError: tellFailure },
    );
  const switchOff = () => change.mutate({ disabled: true }, { onSuccess: close, onError: tellFailure });
  return (
    <>
      {isOff ? (
        <Button onClick={switchOn} loading={change.isPending}>
          Switch it on
        </Button>
      ) : (
        <Button variant="default" onClick={() => setQuestion("off")}>
          Switch it off
        </Button>
      )}
      <Button variant="default" onClick={onEdit}>
        Edit
      </Button>
      <Button variant="default" onClick={() => setQuestion("rotate")}>
        New secret
      </Button>
      <Button variant="subtle" color="red" onClick={() => setQuestion("delete")}>
        Delete
      </Button>
      <Confirm
        isOpen={question === "off"}
        onClose={close}
        title="Switch this webhook off?"
        action="Switch it off"
        keep="Leave it on"
        isHarmless
        isBusy={change.isPending}
        onConfirm={switchOff}
      >
        <p>
          Nothing is sent until you switch it on again, and what happens meanwhile is not told later.
          {webhook.num_pending > 0 &&
            ` ${waiting(webhook.num_pending)} given up; you can send it again from the log.`}
        </p>
      </Confirm>
      <Rotate webhook={webhook} isOpen={question === "rotate"} onClose={close} onRotated={onRotated} />
      <Delete webhook={webhook} isOpen={question === "delete"} onClose={close} />
    </>
  );
}

function waiting(num: number): string {
  return num === 1 ? "One message that waits is" : `${num} messages that wait are`;
}

interface QuestionProps {
  webhook: Webhook;
  isOpen: boolean;
  onClose: () => void;
}

function Rotate({ webhook, isOpen, onClose, onRotated }: QuestionProps & Pick<ActionsProps, "onRotated">) {
  const rotate = useRotateSecret(webhook.id);
  const [keepsOld, setKeepsOld] = useState(true);
  return (
    <Confirm
      isOpen={isOpen}
      onClose={onClose}
      title="Make a new secret?"
      action="Make a new secret"
      keep="Keep the old one"
      isHarmless={keepsOld}
      isBusy={rotate.isPending}
      onConfirm={() =>
        rotate.mutate(keepsOld, {
          onSuccess: (made) => {
            onClose();
            onRotated(made);
          },
          onError: tellFailure,
        })
      }
    >
      <p>The program that is called needs the new secret, or it will refuse our calls.</p>
      <Checkbox
        mt="md"
        label="Accept the old one for a day too"
        description="Every call is signed with both, so there is time to change it over there. Leave this out if the old secret got into wrong hands."
        checked={keepsOld}
        onChange={(event) => setKeepsOld(event.currentTarget.checked)}
      />
    </Confirm>
  );
}

function Delete({ webhook, isOpen, onClose }: QuestionProps) {
  const remove = useDeleteWebhook(webhook.id);
  const navigate = useNavigate();
  return (
    <Confirm
      isOpen={isOpen}
      onClose={onClose}
      title="Delete this webhook?"
      action="Delete it"
      isBusy={remove.isPending}
      onConfirm={() =>
        remove.mutate(undefined, {
          onSuccess: () => {
            tell(`“${webhook.name}” is deleted.`);
            void navigate({ to: "/settings", search: { part: "webhooks" } });
          },
          onError: tellFailure,
        })
      }
    >
      <p>
        Its address is not called any more, and what was sent to it is forgotten. This cannot be taken back;
        to pause it, switch it off instead.
      </p>
    </Confirm>
  );
}
