import { Button, Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import type { Model } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Page } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { modelsQuery } from "@/features/models/queries";
import { ChatColumn } from "@/features/playground/components/chat-column";
import { Composer } from "@/features/playground/components/composer";
import { SampleQuestions } from "@/features/playground/components/sample-questions";
import { useChat } from "@/features/playground/components/use-chat";
import { useCan } from "@/features/session/queries";
import classes from "./playground-page.module.css";

const route = getRouteApi("/app/playground");

export function PlaygroundPage() {
  const can = useCan();
  const models = useQuery(modelsQuery);
  return (
    <Page
      title="Playground"
      lead="The same question to two models, side by side."
      width="full"
      actions={
        can("chat:use") && (
          <ButtonLink variant="default" to="/playground/kept">
            Kept answers
          </ButtonLink>
        )
      }
    >
      {!can("chat:use") ? (
        <Forbidden what="the playground" />
      ) : (
        <QueryView query={models} what="the models" skeleton={<SkeletonLines count={4} height={44} />}>
          {(list) => <Columns models={list.filter((model) => model.is_ready)} />}
        </QueryView>
      )}
    </Page>
  );
}

function Columns({ models }: { models: Model[] }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const newest = models.find((model) => model.kind === "tuned");
  const right = search.right ?? (search.left ? "" : (newest?.id ?? ""));
  const chosenRight = models.find((model) => model.id === right);
  const left =
    search.left ?? chosenRight?.base_model ?? models.find((model) => model.kind === "base")?.id ?? "";
  const [isKept, setKept] = useState(false);
  const leftChat = useChat(left, { isKept });
  const rightChat = useChat(right, { isKept });
  if (models.length === 0) {
    return (
      <Empty title="No model is ready yet">
        The base model is prepared once, after the first start. It appears here in a few minutes.
      </Empty>
    );
  }
  const isTwo = right !== "";
  const chats = isTwo ? [leftChat, rightChat] : [leftChat];
  const ask = (question: string) => chats.forEach((chat) => chat.ask(question));
  const isAnswering = chats.some((chat) => chat.isAnswering);
  const hasTurns = chats.some((chat) => chat.turns.length > 0);
  const show = (change: { left?: string; right?: string }) =>
    void navigate({ search: { left, ...(right ? { right } : {}), ...change }, replace: true });
  return (
    <div className={classes.room}>
      <div className={classes.columns} data-two={isTwo}>
        <ChatColumn
          side="Left"
          models={models}
          model={left}
          onModel={(id) => show({ left: id })}
          chat={leftChat}
        />
        {isTwo ? (
          <ChatColumn
            side="Right"
            models={models}
            model={right}
            onModel={(id) => show({ right: id })}
            chat={rightChat}
          />
        ) : (
          <NothingToCompare models={models} left={left} onCompare={(id) => show({ right: id })} />
        )}
      </div>
      <div className={classes.below}>
        {!hasTurns && <SampleQuestions runId={chosenRight?.run_id ?? null} onAsk={ask} />}
        <Composer
          onAsk={ask}
          isAnswering={isAnswering}
          isDisabled={left === ""}
          onStop={() => chats.forEach((chat) => chat.stop())}
        />
        <div className={classes.hint}>
          <span>Enter asks, Shift and Enter begins a new line.</span>
          <Switch
            size="xs"
            label="Keep the answers"
            checked={isKept}
            onChange={(event) => setKept(event.currentTarget.checked)}
          />
          {hasTurns && (
            <Button size="compact-xs" variant="subtle" onClick={() => chats.forEach((chat) => chat.clear())}>
              Start over
            </Button>
          )}
        </div>
      </div>
    </div>
  );
}

interface NothingToCompareProps {
  models: Model[];
  left: string;
  onCompare: (id: string) => void;
}

function NothingToCompare({ models, left, onCompare }: NothingToCompareProps) {
  const other = models.find((model) => model.kind === "tuned" && model.id !== left);
  return (
    <div className={classes.aside}>
      {other ? (
        <Button variant="default" onClick={() => onCompare(other.id)}>
          Compare with a model of yours
        </Button>
      ) : (
        <>
          <p>A model of your own would stand here, answering the same question.</p>
          <ButtonLink variant="default" to="/train/new">
            Make a model
          </ButtonLink>
        </>
      )}
    </div>
  );
}
