import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { ApiKey, CreatedApiKey, Member, ServiceAccount } from "@/api/types";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { TimeUntil } from "@/components/ui/time-until";
import { Tip } from "@/components/ui/tip";
import { useCan, useSession } from "@/features/session/queries";
import { AccountsSection } from "@/features/settings/components/accounts-section";
import { KeyActions } from "@/features/settings/components/key-actions";
import { MadeKey } from "@/features/settings/components/made-key";
import { NewKey } from "@/features/settings/components/new-key";
import { RIGHTS } from "@/features/settings/components/rights";
import { roleLabel } from "@/components/ui/roles";
import { accountsQuery, apiKeysQuery, membersQuery } from "@/features/settings/queries";
import { plural } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "./panel.module.css";

export function KeysPanel() {
  const keys = useQuery(apiKeysQuery);
  const canManage = useCan()("keys:manage");
  const [made, setMade] = useState<CreatedApiKey | null>(null);
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
              <KeyTable keys={list} onMade={setMade} />
            </Section>
          )
        }
      </QueryView>
      <AccountsSection />
    </div>
  );
}

function KeyTable({ keys, onMade }: { keys: ApiKey[]; onMade: (made: CreatedApiKey) => void }) {
  const can = useCan();
  const me = useSession().user.id;
  const nowS = useNow() / 1000;
  const owners = useOwners();
  const isOver = (key: ApiKey) => key.expires_at !== null && key.expires_at <= nowS;
  const isMine = (key: ApiKey) =>
    key.user_id === me || (key.service_account_id !== null && can("members:manage"));
  const columns: TableColumn<ApiKey>[] = [
    {
      key: "name",
      title: "Name",
      sortBy: (key) => key.name,
      cell: (key) => (
        <div className={classes.who}>
          <span>{key.name}</span>
          <small>
            <code>{`${key.prefix}…${key.last4}`}</code>
          </small>
        </div>
      ),
    },
    {
      key: "owner",
      title: "Acts for",
      isSecondary: true,
      cell: (key) => (key.user_id === me ? "you" : owners(key)),
    },
    { key: "rights", title: "May do", isSecondary: true, cell: (key) => <Rights apiKey={key} /> },
    {
      key: "used",
      title: "Last used",
      isSecondary: true,
      sortBy: (key) => key.last_used_at ?? 0,
      cell: (key) => (key.last_used_at === null ? "never" : <TimeAgo at={key.last_used_at} />),
    },
    {
      key: "expires",
      title: "Expires",
      sortBy: (key) => key.expires_at ?? Infinity,
      cell: (key) => <Expiry apiKey={key} isOver={isOver(key)} nowS={nowS} />,
    },
    {
      key: "actions",
      title: "",
      align: "end",
      cell: (key) =>
        (key.user_id === me || can("workspace:admin")) && (
          <KeyActions apiKey={key} mayRotate={!isOver(key) && isMine(key)} onMade={onMade} />
        ),
    },
  ];
  return <Table label="API keys" columns={columns} items={keys} rowKey={(key) => key.id} />;
}

/** The name of whom a key acts for. Somebody who is gone has no keys, so that an unknown one is only not loaded yet. */
function useOwners(): (key: ApiKey) => string {
  const members = useQuery(membersQuery);
  const accounts = useQuery(accountsQuery);
  const names = new Map<string, string>([
    ...(members.data ?? []).map((member: Member) => [member.id, member.name || member.email] as const),
    ...(accounts.data ?? []).map((account: ServiceAccount) => [account.id, account.name] as const),
  ]);
  return (key) => names.get(key.user_id ?? key.service_account_id ?? "") ?? "…";
}

function Rights({ apiKey }: { apiKey: ApiKey }) {
  if (apiKey.scopes === null) return <>what the role {roleLabel(apiKey.role)} may</>;
  return (
    <Tip label={apiKey.scopes.map((right) => RIGHTS[right]).join(" · ")}>
      {plural(apiKey.scopes.length, "right")}
    </Tip>
  );
}

function Expiry({ apiKey, isOver, nowS }: { apiKey: ApiKey; isOver: boolean; nowS: number }) {
  const { expires_at: endsAt, previous_expires_at: oldEndsAt } = apiKey;
  return (
    <div className={classes.who}>
      {endsAt === null ? "never" : isOver ? <Status tone="quiet">Expired</Status> : <TimeUntil at={endsAt} />}
      {oldEndsAt !== null && oldEndsAt > nowS && (
        <small>
          old secret: <TimeUntil at={oldEndsAt} />
        </small>
      )}
    </div>
  );
}
