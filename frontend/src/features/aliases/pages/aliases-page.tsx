import { Button, Group, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type SubmitEvent, useState } from "react";
import { messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import classes from "@/features/aliases/components/aliases.module.css";
import { answersWith } from "@/features/aliases/components/wording";
import { type Alias, aliasesQuery, useCreateAlias } from "@/features/aliases/queries";
import { modelName, modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";

const COLUMNS: TableColumn<Alias>[] = [
  {
    key: "name",
    title: "Name",
    sortBy: (alias) => alias.name,
    cell: (alias) => (
      <Link to="/aliases/$aliasName" params={{ aliasName: alias.name }}>
        {alias.name}
      </Link>
    ),
  },
  { key: "answers", title: "Answers", cell: (alias) => answersWith(alias.release) },
  {
    key: "since",
    title: "Since",
    align: "end",
    isSecondary: true,
    sortBy: (alias) => alias.release.created_at,
    cell: (alias) => <TimeAgo at={alias.release.created_at} />,
  },
];

export function AliasesPage() {
  const aliases = useQuery(aliasesQuery);
  const can = useCan();
  const [isAdding, setAdding] = useState(false);
  const add = can("models:write") && !isAdding && <Button onClick={() => setAdding(true)}>Add a name</Button>;
  return (
    <Page
      title="Stable names"
      above={<Link to="/models">Models</Link>}
      lead="Your programs ask for a name that stays, and you choose here which model answers to it."
      actions={aliases.data?.length ? add : undefined}
    >
      {isAdding && <NewAlias onCancel={() => setAdding(false)} />}
      <QueryView query={aliases} what="the names" skeleton={<SkeletonLines count={3} height={36} />}>
        {(list) =>
          list.length === 0 ? (
            !isAdding && (
              <Empty title="No name yet" action={add}>
                With a name such as “support-bot” a better model takes over without a change in any program,
                and the old one is back with one click.
              </Empty>
            )
          ) : (
            <Table label="Stable names" columns={COLUMNS} items={list} rowKey={(alias) => alias.id} />
          )
        }
      </QueryView>
    </Page>
  );
}

function NewAlias({ onCancel }: { onCancel: () => void }) {
  const models = useQuery(modelsQuery);
  const create = useCreateAlias();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [model, setModel] = useState<string | null>(null);
  const choices = (models.data ?? [])
    .filter((one) => one.kind !== "alias" && one.is_ready)
    .map((one) => ({ value: one.id, label: modelName(one) }));
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!model) return;
    create.mutate(
      { name: name.trim(), model },
      { onSuccess: () => void navigate({ to: "/aliases/$aliasName", params: { aliasName: name.trim() } }) },
    );
  };
  return (
    <Section title="A new name">
      <form className={classes.form} onSubmit={submit}>
        {create.error && (
          <Notice tone="bad" title="This was not saved">
            {messageOf(create.error)}
          </Notice>
        )}
        <TextInput
          label="Name"
          description="Small letters, digits and dashes. Programs send it in the place of a model."
          placeholder="support-bot"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={63}
          required
          data-autofocus
        />
        <Select
          label="Answers"
          data={choices}
          value={model}
          onChange={setModel}
          allowDeselect={false}
          required
        />
        <Group>
          <Button type="submit" loading={create.isPending}>
            Add the name
          </Button>
          <Button variant="default" onClick={onCancel}>
            Cancel
          </Button>
        </Group>
      </form>
    </Section>
  );
}
