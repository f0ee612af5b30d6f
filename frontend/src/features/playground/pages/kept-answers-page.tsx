import { NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { KeptAnswer } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { CodeBlock } from "@/components/ui/code-block";
import { Page } from "@/components/ui/page";
import { Paging } from "@/components/ui/paging";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { modelName, modelsQuery } from "@/features/models/queries";
import { keptAnswersQuery } from "@/features/playground/queries";
import { useCan } from "@/features/session/queries";
import { keepSnippet } from "@/lib/snippets";
import classes from "./kept-answers-page.module.css";

const route = getRouteApi("/app/playground/kept");

const COLUMNS: TableColumn<KeptAnswer>[] = [
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
  { key: "model", title: "Model", isSecondary: true, cell: (kept) => modelName(kept.model) },
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

function beginning(kept: KeptAnswer): string {
  const message = kept.choices[0]?.message;
  return message?.content ?? (message?.tool_calls ? "Looks something up" : "");
}

export function KeptAnswersPage() {
  const can = useCan();
  return (
    <Page
      title="Kept answers"
      above={<Link to="/playground">Playground</Link>}
      lead="Answers that somebody asked to keep, newest first. Everybody here who may use the playground can read them."
    >
      {can("chat:use") ? <Content /> : <Forbidden what="kept answers" />}
    </Page>
  );
}

function Content() {
  const search = route.useSearch();
  const kept = useQuery(keptAnswersQuery(search));
  const isFiltered = Boolean(search.model ?? search.after);
  return (
    <QueryView query={kept} what="the kept answers" skeleton={<SkeletonLines count={8} height={36} />}>
      {(list) =>
        list.data.length === 0 && !isFiltered ? (
          <NothingKept />
        ) : (
          <div className={classes.list}>
            <ModelFilter />
            {list.data.length > 0 ? (
              <Table label="Kept answers" columns={COLUMNS} items={list.data} rowKey={(one) => one.id} />
            ) : (
              <p>No answer of this model is kept.</p>
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
        Turn on “Keep the answers” in the playground before you ask, or let your program ask for it.
      </Empty>
      <CodeBlock
        label="From Python: store=True keeps the question and the answer"
        code={keepSnippet(window.location.origin)}
      />
    </>
  );
}

function ModelFilter() {
  const { model } = route.useSearch();
  const navigate = route.useNavigate();
  const models = useQuery(modelsQuery);
  const known = models.data ?? [];
  const isGone = model !== undefined && !known.some((one) => one.id === model);
  return (
    <NativeSelect
      label="Model"
      className={classes.filter ?? ""}
      value={model ?? ""}
      onChange={(event) => {
        const chosen = event.currentTarget.value;
        void navigate({ search: chosen ? { model: chosen } : {} });
      }}
      data={[
        { value: "", label: "All" },
        ...(isGone ? [{ value: model, label: modelName(model) }] : []),
        ...known.map((one) => ({ value: one.id, label: modelName(one) })),
      ]}
    />
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
