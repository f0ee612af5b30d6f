import { Button, NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { Webhook, WebhookDelivery } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { tell, tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { Paging } from "@/components/ui/paging";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { TimeAgo } from "@/components/ui/time-ago";
import { deliveryWords, EVENTS, tryWords } from "@/features/webhooks/components/wording";
import { logQuery, useSendAgain } from "@/features/webhooks/queries";
import { relativeTime } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "./delivery-log.module.css";

const route = getRouteApi("/app/settings/webhooks/$webhookId");

const FILTERS = [
  { value: "", label: "All" },
  { value: "pending", label: "On their way" },
  { value: "delivered", label: "Arrived" },
  { value: "failed", label: "Did not arrive" },
];

export function DeliveryLog({ webhook }: { webhook: Webhook }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const log = useQuery(logQuery(webhook.id, search));
  const filter = (
    <NativeSelect
      aria-label="Show"
      size="sm"
      value={search.status ?? ""}
      onChange={(event) => {
        const status = event.currentTarget.value as WebhookDelivery["status"] | "";
        void navigate({ search: status ? { status } : {} });
      }}
      data={FILTERS}
    />
  );
  return (
    <Section
      title="What was sent"
      lead="Newest first, with every answer that came. What is long over is forgotten."
      actions={filter}
    >
      <QueryView query={log} what="what was sent" skeleton={<SkeletonLines count={4} height={44} />}>
        {(list) => (
          <>
            {list.data.length === 0 ? (
              <p className={classes.none}>
                {search.status
                  ? "Nothing of this kind."
                  : "Nothing yet. Send a test, or wait for a run to end."}
              </p>
            ) : (
              <ol className={classes.log} aria-label="What was sent">
                {list.data.map((delivery) => (
                  <Delivery key={delivery.id} webhook={webhook} delivery={delivery} />
                ))}
              </ol>
            )}
            <Turns id={webhook.id} last={list.has_more ? list.last_id : null} />
          </>
        )}
      </QueryView>
    </Section>
  );
}

function Delivery({ webhook, delivery }: { webhook: Webhook; delivery: WebhookDelivery }) {
  const words = deliveryWords(delivery);
  const again = useSendAgain(webhook.id);
  const title = EVENTS[delivery.event_type];
  const sendAgain = () =>
    again.mutate(delivery.id, { onSuccess: () => tell("It is sent again now."), onError: tellFailure });
  return (
    <li className={classes.delivery}>
      <details>
        <summary>
          <span className={classes.what}>
            {title}
            {delivery.is_test && <small>a test</small>}
          </span>
          <Status tone={words.tone}>{words.label}</Status>
          <span className={classes.when}>
            <TimeAgo at={delivery.created_at} />
            <NextTry delivery={delivery} />
          </span>
        </summary>
        <div className={classes.inside}>
          {delivery.attempts.length === 0 && (
            <p>
              {delivery.status === "pending"
                ? "Not tried yet."
                : "Never tried: the webhook was switched off."}
            </p>
          )}
          <ol className={classes.tries} aria-label={`Tries of ${title}`}>
            {delivery.attempts.map((attempt, index) => (
              <li key={attempt.id}>
                <span>
                  Try {index + 1}, <TimeAgo at={attempt.created_at} />. {tryWords(attempt)}
                </span>
                {attempt.answer && <pre>{attempt.answer}</pre>}
              </li>
            ))}
          </ol>
          <p className={classes.label}>
            What is sent, under the id <code>{delivery.event_id}</code>
          </p>
          <pre>{delivery.payload}</pre>
          {webhook.status === "enabled" && !delivery.is_test && (
            <Button size="compact-sm" variant="default" onClick={sendAgain} loading={again.isPending}>
              {delivery.status === "pending" ? "Send it now" : "Send it again"}
            </Button>
          )}
        </div>
      </details>
    </li>
  );
}

function NextTry({ delivery }: { delivery: WebhookDelivery }) {
  const now = useNow();
  const next = delivery.next_attempt_at;
  if (next === null || delivery.num_attempts === 0) return null;
  return <span> · next try {next * 1000 > now ? relativeTime(next, now) : "in a moment"}</span>;
}

function Turns({ id, last }: { id: string; last: string | null }) {
  const { after, ...newest } = route.useSearch();
  return (
    <Paging
      newest={
        after && (
          <Link to="/settings/webhooks/$webhookId" params={{ webhookId: id }} search={newest}>
            Back to the newest
          </Link>
        )
      }
      older={
        last && (
          <ButtonLink
            size="xs"
            variant="default"
            to="/settings/webhooks/$webhookId"
            params={{ webhookId: id }}
            search={{ ...newest, after: last }}
          >
            Older
          </ButtonLink>
        )
      }
    />
  );
}
