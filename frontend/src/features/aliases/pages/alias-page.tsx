import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { TrafficSection } from "@/components/charts/traffic-section";
import { CodeBlock } from "@/components/ui/code-block";
import { offerUndo, tell, tellFailure } from "@/components/ui/notices";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { PlanForm } from "@/features/aliases/components/plan-form";
import { PromptSection } from "@/features/aliases/components/prompt-section";
import { ShadowSection } from "@/features/aliases/components/shadow-section";
import { answersWith } from "@/features/aliases/components/wording";
import {
  type Alias,
  aliasQuery,
  type Release,
  releasesQuery,
  useDeleteAlias,
  useRestoreAlias,
  useRollBack,
} from "@/features/aliases/queries";
import { useTraffic } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import { curlSnippet } from "@/lib/snippets";

const route = getRouteApi("/app/aliases/$aliasName");

export function AliasPage() {
  const { aliasName } = route.useParams();
  const alias = useQuery(aliasQuery(aliasName));
  return (
    <Page
      title={aliasName}
      above={<Link to="/aliases">Stable names</Link>}
      lead={alias.data && `Answers with ${answersWith(alias.data.release)}.`}
      actions={alias.data && <Actions alias={alias.data} />}
    >
      <QueryView query={alias} what="this name" skeleton={<SkeletonLines count={5} height={40} />}>
        {(data) => <Content alias={data} />}
      </QueryView>
    </Page>
  );
}

function Actions({ alias }: { alias: Alias }) {
  const can = useCan();
  const navigate = useNavigate();
  const remove = useDeleteAlias();
  const restore = useRestoreAlias();
  if (!can("models:write")) return null;
  return (
    <Button
      variant="default"
      loading={remove.isPending}
      onClick={() =>
        remove.mutate(alias.name, {
          onError: tellFailure,
          onSuccess: () => {
            void navigate({ to: "/aliases" });
            offerUndo(`“${alias.name}” was deleted.`, () => restore.mutateAsync(alias.name));
          },
        })
      }
    >
      Delete
    </Button>
  );
}

function Content({ alias }: { alias: Alias }) {
  const can = useCan();
  const [isChanging, setChanging] = useState(false);
  return (
    <>
      <Section
        title="Who answers"
        lead="Programs that ask for this name notice nothing of a change."
        actions={
          can("models:write") &&
          !isChanging && <Button onClick={() => setChanging(true)}>Change who answers</Button>
        }
      >
        {isChanging ? (
          <PlanForm key={alias.release.id} alias={alias} onDone={() => setChanging(false)} />
        ) : (
          <History alias={alias} />
        )}
      </Section>
      {alias.release.shadow && can("chat:use") && <ShadowSection name={alias.name} />}
      <PromptSection name={alias.name} />
      {can("usage:read") && <Traffic name={alias.name} />}
      <Section title="Use it in your programs">
        <CodeBlock label="From the command line" code={curlSnippet(alias.name, window.location.origin)} />
      </Section>
    </>
  );
}

function Traffic({ name }: { name: string }) {
  return <TrafficSection {...useTraffic(name)} />;
}

function History({ alias }: { alias: Alias }) {
  const releases = useQuery(releasesQuery(alias.name));
  const back = useRollBack(alias.name);
  const can = useCan();
  const columns: TableColumn<Release>[] = [
    { key: "number", title: "Nr.", cell: (release) => release.number },
    { key: "answers", title: "Answers", cell: answersWith },
    { key: "note", title: "Why", isSecondary: true, cell: (release) => release.note },
    {
      key: "since",
      title: "Since",
      isSecondary: true,
      cell: (release) => <TimeAgo at={release.created_at} />,
    },
    {
      key: "back",
      title: "",
      align: "end",
      cell: (release) =>
        release.number === alias.release.number ? (
          "in use"
        ) : can("models:write") ? (
          <Button
            size="compact-sm"
            variant="subtle"
            aria-label={`Go back to number ${release.number}`}
            disabled={back.isPending}
            onClick={() =>
              back.mutate(release.number, {
                onError: tellFailure,
                onSuccess: () => tell(`${alias.name} answers as it did with number ${release.number}.`),
              })
            }
          >
            Go back to this
          </Button>
        ) : null,
    },
  ];
  return (
    <QueryView query={releases} what="the history" skeleton={<SkeletonLines count={2} height={36} />}>
      {(list) => <Table label="History" columns={columns} items={list} rowKey={(release) => release.id} />}
    </QueryView>
  );
}
