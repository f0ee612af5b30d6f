import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { MadeWebhook, Webhook } from "@/api/types";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { SecretOnce } from "@/features/webhooks/components/secret-once";
import { WebhookForm } from "@/features/webhooks/components/webhook-form";
import { EVENTS, webhookWords } from "@/features/webhooks/components/wording";
import { useCreateWebhook, webhooksQuery } from "@/features/webhooks/queries";
import classes from "./webhooks.module.css";

const COLUMNS: TableColumn<Webhook>[] = [
  {
    key: "name",
    title: "Name",
    sortBy: (webhook) => webhook.name,
    cell: (webhook) => (
      <Link to="/settings/webhooks/$webhookId" params={{ webhookId: webhook.id }}>
        {webhook.name}
      </Link>
    ),
  },
  {
    key: "status",
    title: "State",
    sortBy: (webhook) => webhookWords(webhook).label,
    cell: (webhook) => {
      const words = webhookWords(webhook);
      return <Status tone={words.tone}>{words.label}</Status>;
    },
  },
  { key: "url", title: "Calls", isSecondary: true, cell: (webhook) => <code>{webhook.url}</code> },
  {
    key: "events",
    title: "When",
    isSecondary: true,
    cell: (webhook) => webhook.event_types.map((event) => EVENTS[event]).join(", "),
  },
  {
    key: "created",
    title: "Added",
    align: "end",
    isSecondary: true,
    sortBy: (webhook) => webhook.created_at,
    cell: (webhook) => <TimeAgo at={webhook.created_at} />,
  },
];

const WHAT =
  "A webhook calls a program of yours when something happens here. Your own software then knows at once that a model is ready, and nobody has to look.";

export function WebhooksPanel() {
  const webhooks = useQuery(webhooksQuery);
  const create = useCreateWebhook();
  const [isAdding, setAdding] = useState(false);
  const [made, setMade] = useState<MadeWebhook | null>(null);
  if (made) return <SecretOnce made={made} onDone={() => setMade(null)} />;
  if (isAdding) {
    return (
      <Section title="Add a webhook" lead={WHAT}>
        <WebhookForm
          action="Add the webhook"
          error={create.error}
          isBusy={create.isPending}
          onCancel={() => {
            create.reset();
            setAdding(false);
          }}
          onSubmit={(draft) =>
            create.mutate(draft, {
              onSuccess: (webhook) => {
                setAdding(false);
                setMade(webhook);
              },
            })
          }
        />
      </Section>
    );
  }
  const add = <Button onClick={() => setAdding(true)}>Add a webhook</Button>;
  return (
    <div className={classes.panel}>
      <QueryView query={webhooks} what="the webhooks" skeleton={<SkeletonLines count={3} height={36} />}>
        {(list) =>
          list.data.length === 0 ? (
            <Empty title="No webhooks yet" action={add}>
              {WHAT} You need an address that whoever looks after that software can give you.
            </Empty>
          ) : (
            <Section title="Webhooks" lead={WHAT} actions={add}>
              <Table label="Webhooks" columns={COLUMNS} items={list.data} rowKey={(webhook) => webhook.id} />
            </Section>
          )
        }
      </QueryView>
    </div>
  );
}
