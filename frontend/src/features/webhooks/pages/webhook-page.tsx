import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { MadeWebhook, Webhook } from "@/api/types";
import { CodeBlock } from "@/components/ui/code-block";
import { Facts } from "@/components/ui/facts";
import { Notice } from "@/components/ui/notice";
import { tell } from "@/components/ui/notices";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Forbidden, QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { TimeAgo } from "@/components/ui/time-ago";
import { useCan } from "@/features/session/queries";
import { DeliveryLog } from "@/features/webhooks/components/delivery-log";
import { SecretOnce } from "@/features/webhooks/components/secret-once";
import { receiverSnippet } from "@/features/webhooks/components/snippet";
import { TestWebhook } from "@/features/webhooks/components/test-webhook";
import { WebhookActions } from "@/features/webhooks/components/webhook-actions";
import { WebhookForm } from "@/features/webhooks/components/webhook-form";
import { EVENTS, webhookWords } from "@/features/webhooks/components/wording";
import { useChangeWebhook, webhookQuery } from "@/features/webhooks/queries";
import { plural, whenLabel } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "../components/webhooks.module.css";

const route = getRouteApi("/app/settings/webhooks/$webhookId");

const BACK = (
  <Link to="/settings" search={{ part: "webhooks" }}>
    Webhooks
  </Link>
);

export function WebhookPage() {
  const { webhookId } = route.useParams();
  const isAllowed = useCan()("webhooks:manage");
  const webhook = useQuery({ ...webhookQuery(webhookId), enabled: isAllowed });
  const [isEditing, setEditing] = useState(false);
  const [rotated, setRotated] = useState<MadeWebhook | null>(null);
  const loaded = webhook.data;
  if (!isAllowed) {
    return (
      <Page title="Webhook" above={BACK}>
        <Forbidden what="the webhooks" />
      </Page>
    );
  }
  return (
    <Page
      title={loaded?.name ?? "Webhook"}
      above={BACK}
      lead={loaded && <Lead webhook={loaded} />}
      actions={
        loaded &&
        !isEditing &&
        !rotated && <WebhookActions webhook={loaded} onEdit={() => setEditing(true)} onRotated={setRotated} />
      }
    >
      <QueryView query={webhook} what="this webhook" skeleton={<SkeletonLines count={8} height={36} />}>
        {(data) =>
          rotated ? (
            <SecretOnce made={rotated} onDone={() => setRotated(null)} isThere />
          ) : isEditing ? (
            <Edit webhook={data} onDone={() => setEditing(false)} />
          ) : (
            <Content webhook={data} />
          )
        }
      </QueryView>
    </Page>
  );
}

function Lead({ webhook }: { webhook: Webhook }) {
  const words = webhookWords(webhook);
  return (
    <>
      <Status tone={words.tone}>{words.label}</Status>
      {" · calls "}
      <code>{webhook.url}</code>
      {" · "}
      {webhook.event_types.map((event) => EVENTS[event]).join(", ")}
    </>
  );
}

function Edit({ webhook, onDone }: { webhook: Webhook; onDone: () => void }) {
  const change = useChangeWebhook(webhook.id);
  return (
    <Section title="Edit">
      <WebhookForm
        initial={webhook}
        action="Save"
        error={change.error}
        isBusy={change.isPending}
        onCancel={onDone}
        onSubmit={({ name, url, event_types }) =>
          change.mutate(
            { name, url, event_types },
            {
              onSuccess: () => {
                tell("Saved.");
                onDone();
              },
            },
          )
        }
      />
    </Section>
  );
}

function Content({ webhook }: { webhook: Webhook }) {
  return (
    <>
      <Trouble webhook={webhook} />
      <Numbers webhook={webhook} />
      <TestWebhook webhook={webhook} />
      <DeliveryLog webhook={webhook} />
      <Section title="For engineers" lead="How the program that is called tells that a call is from here.">
        <CodeBlock label="A receiver in Python" code={receiverSnippet()} />
        <p className={classes.hint}>
          Calls follow Standard Webhooks, for which every language has a library. Answer with any 2xx within
          15 seconds and work afterwards. A message may come twice: its <code>webhook-id</code> is then the
          same.
        </p>
      </Section>
    </>
  );
}

function Trouble({ webhook }: { webhook: Webhook }) {
  if (webhook.disabled_reason === "failing") {
    return (
      <Notice tone="bad" title="It was switched off because nothing arrived for three days">
        Find out what the other side answers, below, and try it. Then switch it on, and send again what is
        missing.
      </Notice>
    );
  }
  if (webhook.disabled_reason === "gone") {
    return (
      <Notice tone="bad" title="It was switched off because the other side wants no more calls">
        It answered 410, “gone”. If the address has moved, edit it and switch it on again.
      </Notice>
    );
  }
  if (webhook.disabled_reason === "by_admin") {
    return (
      <Notice tone="quiet" title="It is switched off">
        Nothing is sent, and what happens meanwhile is not told later.
      </Notice>
    );
  }
  if (webhook.failing_since !== null) {
    return (
      <Notice tone="warn" title="Calls have been failing">
        Since <TimeAgo at={webhook.failing_since} />. They are tried again, ever more slowly; after three days
        of nothing but failures it is switched off, and the admins are told.
      </Notice>
    );
  }
  return null;
}

function Numbers({ webhook }: { webhook: Webhook }) {
  const now = useNow();
  const old = webhook.old_secret_until;
  return (
    <Facts
      facts={[
        { label: "Waiting to be sent", value: plural(webhook.num_pending, "message") },
        {
          label: "Secret",
          value: <code>{webhook.signing_secret_hint}</code>,
          note: old !== null && old * 1000 > now && `the one before counts until ${whenLabel(old, now)}`,
        },
        { label: "Changed", value: <TimeAgo at={webhook.updated_at} /> },
      ]}
    />
  );
}
