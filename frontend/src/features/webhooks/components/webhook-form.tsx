import { Button, Checkbox, Group, TextInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import { ApiError, messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";
import { ALL_EVENTS, EVENTS } from "@/features/webhooks/components/wording";
import type { WebhookDraft } from "@/features/webhooks/queries";
import classes from "./webhooks.module.css";

interface WebhookFormProps {
  initial?: WebhookDraft;
  action: string;
  error: unknown;
  isBusy: boolean;
  onSubmit: (draft: WebhookDraft) => void;
  onCancel: () => void;
}

const NEW: WebhookDraft = { name: "", url: "", event_types: ALL_EVENTS };

export function WebhookForm({ initial = NEW, action, error, isBusy, onSubmit, onCancel }: WebhookFormProps) {
  const [draft, setDraft] = useState(initial);
  const set = (part: Partial<WebhookDraft>) => setDraft({ ...draft, ...part });
  const isAboutUrl = error instanceof ApiError && error.body.param === "url";
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    onSubmit({ ...draft, name: draft.name.trim(), url: draft.url.trim() });
  };
  return (
    <form className={classes.form} onSubmit={submit}>
      {Boolean(error) && !isAboutUrl && (
        <Notice tone="bad" title="This was not saved">
          {messageOf(error)}
        </Notice>
      )}
      <TextInput
        label="Name"
        placeholder="What is called? “Claims desk”"
        value={draft.name}
        onChange={(event) => set({ name: event.currentTarget.value })}
        maxLength={100}
        required
        data-autofocus
      />
      <TextInput
        label="Address"
        description="It is checked at once, and never called with anything but these messages."
        placeholder="https://claims.example.com/hooks"
        inputMode="url"
        autoComplete="off"
        value={draft.url}
        onChange={(event) => set({ url: event.currentTarget.value })}
        error={isAboutUrl ? messageOf(error) : null}
        maxLength={2048}
        required
      />
      <Checkbox.Group
        label="Call it when"
        value={draft.event_types}
        onChange={(chosen) => set({ event_types: ALL_EVENTS.filter((event) => chosen.includes(event)) })}
      >
        <div className={classes.events}>
          {ALL_EVENTS.map((event) => (
            <Checkbox key={event} value={event} label={EVENTS[event]} description={<code>{event}</code>} />
          ))}
        </div>
      </Checkbox.Group>
      <Group gap="xs">
        <Button type="submit" loading={isBusy} disabled={draft.event_types.length === 0}>
          {action}
        </Button>
        <Button variant="default" onClick={onCancel}>
          Cancel
        </Button>
        {draft.event_types.length === 0 && <small role="status">Choose at least one event.</small>}
      </Group>
    </form>
  );
}
