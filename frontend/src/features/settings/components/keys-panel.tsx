import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { ApiKey, CreatedApiKey } from "@/api/types";
import { CodeBlock } from "@/components/ui/code-block";
import { Confirm } from "@/components/ui/confirm";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import { apiKeysQuery, useCreateKey, useRevokeKey } from "@/features/settings/queries";
import { pythonSnippet } from "@/lib/snippets";
import classes from "./panel.module.css";

const COLUMNS: TableColumn<ApiKey>[] = [
  { key: "name", title: "Name", sortBy: (key) => key.name, cell: (key) => key.name },
  { key: "key", title: "Key", cell: (key) => <code>{`${key.prefix}…${key.last4}`}</code> },
  {
    key: "role",
    title: "May do",
    isSecondary: true,
    cell: (key) => `what a${key.role === "admin" ? "n" : ""} ${key.role} may`,
  },
  { key: "created", title: "Made", isSecondary: true, cell: (key) => <TimeAgo at={key.created_at} /> },
  {
    key: "used",
    title: "Last used",
    cell: (key) => (key.last_used_at ? <TimeAgo at={key.last_used_at} /> : "never"),
  },
];

export function KeysPanel() {
  const keys = useQuery(apiKeysQuery);
  const canManage = useCan()("keys:manage");
  const [made, setMade] = useState<CreatedApiKey | null>(null);
  const [doomed, setDoomed] = useState<ApiKey | null>(null);
  const revoke = useRevokeKey();
  const revokeIt = () =>
    doomed && revoke.mutate(doomed.id, { onSuccess: () => setDoomed(null), onError: tellFailure });
  const withRevoke: TableColumn<ApiKey>[] = [
    ...COLUMNS,
    {
      key: "revoke",
      title: "",
      align: "end",
      cell: (key) => (
        <Button
          size="compact-sm"
          variant="subtle"
          onClick={() => setDoomed(key)}
          aria-label={`Revoke ${key.name}`}
        >
          Revoke
        </Button>
      ),
    },
  ];
  return (
    <div className={classes.panel}>
      {made && <MadeKey made={made} onDone={() => setMade(null)} />}
      {canManage && !made && <NewKey onMade={setMade} />}
      <QueryView query={keys} what="the API keys" skeleton={<SkeletonLines count={3} height={36} />}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="No keys yet">
              A key lets a program of yours use your models. It is shown once, when it is made.
            </Empty>
          ) : (
            <Section title="Keys">
              <Table
                label="API keys"
                columns={canManage ? withRevoke : COLUMNS}
                items={list}
                rowKey={(key) => key.id}
              />
            </Section>
          )
        }
      </QueryView>
      <Confirm
        isOpen={doomed !== null}
        onClose={() => setDoomed(null)}
        title="Revoke this key?"
        action="Revoke the key"
        isBusy={revoke.isPending}
        onConfirm={revokeIt}
      >
        <p>Programs that use “{doomed?.name}” are refused from now on. This cannot be taken back.</p>
      </Confirm>
    </div>
  );
}

function NewKey({ onMade }: { onMade: (made: CreatedApiKey) => void }) {
  const create = useCreateKey();
  const [name, setName] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    create.mutate({ name: name.trim() }, { onSuccess: onMade });
  };
  return (
    <form className={classes.row} onSubmit={submit}>
      <TextInput
        label="Name of the new key"
        placeholder="Where will it be used?"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={create.error && messageOf(create.error)}
        maxLength={100}
        required
      />
      <Button type="submit" loading={create.isPending}>
        Make a key
      </Button>
    </form>
  );
}

function MadeKey({ made, onDone }: { made: CreatedApiKey; onDone: () => void }) {
  const models = useQuery(modelsQuery);
  const model =
    models.data?.find((item) => item.kind === "tuned") ?? models.data?.find((item) => item.is_ready);
  return (
    <div className={classes.once}>
      <Notice tone="warn" title="Copy this key now">
        It is shown this once and stored nowhere. Whoever has it can act in your name.
      </Notice>
      <CodeBlock label={`The key “${made.name}”`} code={made.key} />
      <CodeBlock
        label="From Python, with this key"
        code={pythonSnippet(model?.id ?? "YOUR_MODEL", window.location.origin, made.key)}
      />
      <div>
        <Button onClick={onDone}>I have copied it</Button>
      </div>
    </div>
  );
}
