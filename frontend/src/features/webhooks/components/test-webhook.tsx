import { Button, NativeSelect } from "@mantine/core";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import type { Webhook, WebhookEvent, WebhookTestResult } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { EVENTS, meaning } from "@/features/webhooks/components/wording";
import { useTestWebhook } from "@/features/webhooks/queries";
import classes from "./webhooks.module.css";

export function TestWebhook({ webhook }: { webhook: Webhook }) {
  const test = useTestWebhook(webhook.id);
  const [event, setEvent] = useState<WebhookEvent>(webhook.event_types[0] ?? "fine_tuning.job.succeeded");
  return (
    <Section title="Try it" lead="Sends a sample now and shows what came back.">
      <form
        className={classes.row}
        onSubmit={(submitted) => {
          submitted.preventDefault();
          test.mutate(event);
        }}
      >
        <NativeSelect
          label="As if"
          value={event}
          onChange={(changed) => setEvent(changed.currentTarget.value as WebhookEvent)}
          data={Object.entries(EVENTS).map(([value, label]) => ({ value, label }))}
        />
        <Button type="submit" variant="default" loading={test.isPending}>
          Send a test
        </Button>
      </form>
      {test.error && (
        <Notice tone="bad" title="No answer came">
          {messageOf(test.error)}
        </Notice>
      )}
      {test.data && <Result result={test.data} />}
    </Section>
  );
}

function Result({ result }: { result: WebhookTestResult }) {
  const isWell = result.status_code >= 200 && result.status_code < 300;
  return (
    <Notice
      tone={isWell ? "good" : "warn"}
      title={isWell ? "It arrived" : "It was called, and did not take it"}
    >
      Answered {result.status_code}, {meaning(result.status_code)}, after {result.duration_ms} ms.
      {result.answer && <pre className={classes.answer}>{result.answer}</pre>}
    </Notice>
  );
}
