import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { KeptAnswer, KeptMessage, Message } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { Conversation } from "@/components/ui/conversation";
import { Facts } from "@/components/ui/facts";
import { Notice } from "@/components/ui/notice";
import { tell, tellFailure } from "@/components/ui/notices";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Forbidden, QueryView } from "@/components/ui/states";
import { TimeAgo } from "@/components/ui/time-ago";
import { ModelLink } from "@/features/playground/components/model-link";
import { keptAnswerQuery, keptMessagesQuery, useDeleteKeptAnswer } from "@/features/playground/queries";
import { useCan } from "@/features/session/queries";
import { count, plural, whenLabel } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "./kept-answer-page.module.css";

const ENDINGS: Record<KeptAnswer["choices"][number]["finish_reason"], string> = {
  stop: "by itself",
  length: "at its longest",
  tool_calls: "to look something up",
};

const route = getRouteApi("/app/playground/kept/$answerId");

export function KeptAnswerPage() {
  const can = useCan();
  const { answerId } = route.useParams();
  return (
    <Page
      title="Kept answer"
      above={<Link to="/playground/kept">Kept answers</Link>}
      width="reading"
      actions={can("datasets:write") && <Delete id={answerId} />}
    >
      {can("chat:use") ? <Content id={answerId} /> : <Forbidden what="kept answers" />}
    </Page>
  );
}

function Delete({ id }: { id: string }) {
  const navigate = useNavigate();
  const remove = useDeleteKeptAnswer();
  const [isAsking, setAsking] = useState(false);
  const deleteIt = () =>
    remove.mutate(id, {
      onError: tellFailure,
      onSuccess: () => {
        void navigate({ to: "/playground/kept" });
        tell("The answer was deleted.");
      },
      onSettled: () => setAsking(false),
    });
  return (
    <>
      <Button variant="default" onClick={() => setAsking(true)}>
        Delete
      </Button>
      <Confirm
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title="Delete this answer?"
        action="Delete it for good"
        onConfirm={deleteIt}
        isBusy={remove.isPending}
      >
        The question goes with it, and neither can be brought back.
      </Confirm>
    </>
  );
}

function Content({ id }: { id: string }) {
  const kept = useQuery(keptAnswerQuery(id));
  const messages = useQuery(keptMessagesQuery(id));
  const skeleton = <SkeletonLines count={6} height={40} />;
  return (
    <QueryView query={kept} what="this answer" skeleton={skeleton}>
      {(answer) => (
        <>
          <About kept={answer} />
          <QueryView query={messages} what="what was asked" skeleton={skeleton}>
            {(asked) => <Said kept={answer} asked={asked} />}
          </QueryView>
        </>
      )}
    </QueryView>
  );
}

function About({ kept }: { kept: KeptAnswer }) {
  const now = useNow();
  const labels = Object.entries(kept.metadata);
  return (
    <>
      <Facts
        facts={[
          {
            label: "Model",
            value: <ModelLink id={kept.model} canCopy />,
          },
          {
            label: "Kept",
            value: <TimeAgo at={kept.created} />,
            note: kept.origin === "logged" ? "by the request log" : "as the request asked",
          },
          ...(kept.latency_ms === null
            ? []
            : [{ label: "Took", value: `${(kept.latency_ms / 1000).toFixed(1)} s` }]),
          ...(kept.served_model && kept.served_model !== kept.model
            ? [
                {
                  label: "Answered by",
                  value: <ModelLink id={kept.served_model} canCopy />,
                  note: `release ${kept.release}`,
                },
              ]
            : []),
          ...(kept.choices[0] ? [{ label: "Ended", value: ENDINGS[kept.choices[0].finish_reason] }] : []),
          ...(kept.api_key_id ? [{ label: "API key", value: <code>{kept.api_key_id}</code> }] : []),
          {
            label: "Deleted by itself",
            value: kept.expires_at ? whenLabel(kept.expires_at, now) : "never",
          },
          {
            label: "Length",
            value: plural(kept.usage.completion_tokens, "token"),
            note: `after ${count(kept.usage.prompt_tokens)} read`,
          },
        ]}
      />
      {kept.outcome !== "succeeded" && (
        <Notice tone="warn" title="There is no answer">
          {kept.outcome === "cancelled"
            ? "Whoever asked gave up before it was there."
            : `The request failed: ${kept.error_code ?? "no reason is known"}.`}
        </Notice>
      )}
      {kept.is_masked && (
        <p className={classes.masked}>What looked like personal data was taken out before this was kept.</p>
      )}
      {labels.length > 0 && (
        <ul className={classes.labels} aria-label="Labels">
          {labels.map(([name, value]) => (
            <li key={name}>
              {name}: {value}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** What was asked, and every answer to it. */
function Said({ kept, asked }: { kept: KeptAnswer; asked: KeptMessage[] }) {
  const answers = kept.choices.map((choice) => choice.message);
  return (
    <Section title="What was said">
      <Conversation messages={[...asked, ...answers].map(asMessage)} />
    </Section>
  );
}

function asMessage(message: KeptMessage | KeptAnswer["choices"][number]["message"]): Message {
  const role = message.role === "developer" ? "system" : (message.role as Message["role"]);
  const calls = (message.tool_calls ?? []) as NonNullable<Message["tool_calls"]>;
  return { role, content: message.content, ...(calls.length > 0 ? { tool_calls: calls } : {}) };
}
