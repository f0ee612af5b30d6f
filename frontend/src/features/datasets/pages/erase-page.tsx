import { Button, Group, Textarea } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import type { Erasure } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { Status, type Tone } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { ErasureView } from "@/features/datasets/components/erasure-view";
import { erasureQuery, erasuresQuery, useSearchPerson } from "@/features/datasets/erasure-queries";
import { useCan } from "@/features/session/queries";
import { count } from "@/lib/format";

const route = getRouteApi("/app/data/erase");

const STATES: Record<Erasure["status"], { tone: Tone; word: string }> = {
  found: { tone: "quiet", word: "Looked for" },
  erasing: { tone: "busy", word: "Being removed" },
  failed: { tone: "bad", word: "Stopped" },
  erased: { tone: "good", word: "Removed" },
};

const COLUMNS: TableColumn<Erasure>[] = [
  {
    key: "when",
    title: "Looked for",
    cell: (erasure) => (
      <Link to="/data/erase" search={{ id: erasure.id }}>
        <TimeAgo at={erasure.created_at} />
      </Link>
    ),
  },
  {
    key: "status",
    title: "State",
    cell: ({ status }) => <Status tone={STATES[status].tone}>{STATES[status].word}</Status>,
  },
  { key: "who", title: "By", isSecondary: true, cell: (erasure) => erasure.created_by_name ?? "a service" },
  { key: "rows", title: "Examples", align: "end", cell: (erasure) => count(erasure.num_rows) },
];

/** A person who asks to be forgotten: looked for, shown, confirmed, and told at the end what was done. */
export function ErasePage() {
  const can = useCan();
  const { id } = route.useSearch();
  return (
    <Page
      title="Forget a person"
      above={<Link to="/data">Data</Link>}
      width="reading"
      lead="Find everything that names somebody, and remove it for good, from old versions of examples too."
    >
      {!can("datasets:erase") ? (
        <Forbidden what="this page" />
      ) : id ? (
        <One key={id} id={id} />
      ) : (
        <>
          <Search />
          <Earlier />
        </>
      )}
    </Page>
  );
}

function One({ id }: { id: string }) {
  const erasure = useQuery(erasureQuery(id));
  return (
    <>
      <QueryView query={erasure} what="what was found" skeleton={<SkeletonLines count={6} height={36} />}>
        {(found) => <ErasureView erasure={found} />}
      </QueryView>
      <p>
        <Link to="/data/erase">Look for somebody else</Link>
      </p>
    </>
  );
}

function Search() {
  const navigate = useNavigate();
  const search = useSearchPerson();
  const [words, setWords] = useState("");
  const terms = words.split("\n").flatMap((line) => line.trim() || []);
  const look = () =>
    search.mutate(terms, {
      onSuccess: (found) => void navigate({ to: "/data/erase", search: { id: found.id } }),
    });
  return (
    <Section title="Who is it?">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (terms.length > 0) look();
        }}
      >
        <Textarea
          label="Name, e-mail address, phone number"
          description="One a line. Each is looked for exactly as you write it, in capital or small letters. Write it in every way that it may stand in your examples."
          placeholder={"Ada Lovelace\nada@example.com"}
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
          autosize
          minRows={3}
          maxRows={10}
        />
        {search.error && (
          <Notice tone="bad" title="This could not be looked for">
            {messageOf(search.error)}
          </Notice>
        )}
        <Group mt="md">
          <Button type="submit" loading={search.isPending} disabled={terms.length === 0}>
            Look for this person
          </Button>
        </Group>
      </form>
      <p>Nothing is removed yet: you see what was found first. What you type is forgotten when it is done.</p>
      <p>
        Looked at are examples and their files, kept answers, votes, names and notes, and what jobs and
        webhooks said. The record of who did what, and what models have learned, stay: you are told which
        models those are.
      </p>
    </Section>
  );
}

function Earlier() {
  const erasures = useQuery(erasuresQuery);
  return (
    <Section title="Earlier">
      <QueryView
        query={erasures}
        what="what was done earlier"
        skeleton={<SkeletonLines count={3} height={36} />}
      >
        {(list) =>
          list.data.length === 0 ? (
            <Empty title="Nobody was looked for yet">
              When somebody asks to be forgotten, look for them here. What was removed stays written down,
              without their name.
            </Empty>
          ) : (
            <Table
              label="Earlier searches and removals"
              columns={COLUMNS}
              items={list.data}
              rowKey={(erasure) => erasure.id}
            />
          )
        }
      </QueryView>
    </Section>
  );
}
