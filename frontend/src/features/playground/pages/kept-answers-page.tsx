import { Checkbox } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import type { KeptAnswer } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { CodeBlock } from "@/components/ui/code-block";
import { Page } from "@/components/ui/page";
import { Paging } from "@/components/ui/paging";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { ModelLink } from "@/features/playground/components/model-link";
import { KeptFilters } from "@/features/playground/components/kept-filters";
import { PickedActions } from "@/features/playground/components/picked-actions";
import { keptAnswersQuery } from "@/features/playground/queries";
import { useCan } from "@/features/session/queries";
import { filled } from "@/lib/filled";
import { keepSnippet } from "@/lib/snippets";
import classes from "./kept-answers-page.module.css";

const route = getRouteApi("/app/playground/kept");

function columns(picked: ReadonlySet<string>, onPick: (id: string) => void): TableColumn<KeptAnswer>[] {
  return [
    {
      key: "pick",
      title: "Pick",
      cell: (kept) => (
        <Checkbox
          className={classes.pick ?? ""}
          aria-label={`Pick: ${kept.question || "no question"}`}
          checked={picked.has(kept.id)}
          onChange={() => onPick(kept.id)}
        />
      ),
    },
    {
      key: "question",
      title: "Question",
      cell: (kept) => (
        <Link to="/playground/kept/$answerId" params={{ answerId: kept.id }} className={classes.words}>
          {kept.question || "No question"}
        </Link>
      ),
    },
    {
      key: "answer",
      title: "Answer",
      isSecondary: true,
      cell: (kept) => <span className={classes.words}>{beginning(kept)}</span>,
    },
    { key: "model", title: "Model", isSecondary: true, cell: (kept) => <ModelLink id={kept.model} /> },
    {
      key: "kept",
      title: "Kept",
      align: "end",
      cell: (kept) => (
        <span className={classes.when}>
          <TimeAgo at={kept.created} />
        </span>
      ),
    },
  ];
}

function beginning(kept: KeptAnswer): string {
  if (kept.outcome === "failed") return `Failed: ${kept.error_code ?? "no reason is known"}`;
  if (kept.outcome === "cancelled") return "Given up before the answer was there";
  const message = kept.choices[0]?.message;
  return message?.content ?? (message?.tool_calls ? "Looks something up" : "");
}

export function KeptAnswersPage() {
  const can = useCan();
  return (
    <Page
      title="Kept answers"
      above={<Link to="/playground">Playground</Link>}
      lead="Answers that a request asked to keep, and those of the request log, newest first. Pick good ones to make examples of them. Everybody here who may use the playground can read them."
    >
      {can("chat:use") ? <Content /> : <Forbidden what="kept answers" />}
    </Page>
  );
}

function Content() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const can = useCan();
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const kept = useQuery(keptAnswersQuery(search));
  const isFiltered = Object.keys(search).length > 0;
  const pick = (id: string) => {
    const next = new Set(picked);
    if (!next.delete(id)) next.add(id);
    setPicked(next);
  };
  const all = columns(picked, pick);
  return (
    <QueryView query={kept} what="the kept answers" skeleton={<SkeletonLines count={8} height={36} />}>
      {(list) =>
        list.data.length === 0 && !isFiltered ? (
          <NothingKept />
        ) : (
          <div className={classes.list}>
            <KeptFilters
              search={search}
              onChoose={(part) => void navigate({ search: filled({ ...search, after: undefined, ...part }) })}
            />
            {picked.size > 0 && <PickedActions ids={[...picked]} onDone={() => setPicked(new Set())} />}
            {list.data.length > 0 ? (
              <Table
                label="Kept answers"
                columns={can("datasets:write") ? all : all.slice(1)}
                items={list.data}
                rowKey={(one) => one.id}
              />
            ) : (
              <p>Nothing that is kept is like that.</p>
            )}
            <Turns last={list.has_more ? list.last_id : null} />
          </div>
        )
      }
    </QueryView>
  );
}

function NothingKept() {
  return (
    <>
      <Empty
        title="Nothing is kept yet"
        action={<ButtonLink to="/playground">Open the playground</ButtonLink>}
      >
        Turn on “Keep the answers” in the playground before you ask, or let your program ask for it. An admin
        can keep every request: Settings, Workspace, Request log.
      </Empty>
      <CodeBlock
        label="From Python: store=True keeps the question and the answer"
        code={keepSnippet(window.location.origin)}
      />
    </>
  );
}

function Turns({ last }: { last: string | null }) {
  const search = route.useSearch();
  const { after, ...newest } = search;
  return (
    <Paging
      newest={
        after && (
          <Link to="/playground/kept" search={newest}>
            Back to the newest
          </Link>
        )
      }
      older={
        last && (
          <ButtonLink size="xs" variant="default" to="/playground/kept" search={{ ...search, after: last }}>
            Older answers
          </ButtonLink>
        )
      }
    />
  );
}
