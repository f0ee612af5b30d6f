import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Role, ServiceAccount } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { useCan } from "@/features/session/queries";
import { ROLE_CHOICES, roleLabel } from "@/components/ui/roles";
import {
  accountsQuery,
  useChangeAccountRole,
  useCreateAccount,
  useDeleteAccount,
} from "@/features/settings/queries";
import classes from "./panel.module.css";

/** Members that are programs. Those who manage members see them even while there are none, to make the first. */
export function AccountsSection() {
  const accounts = useQuery(accountsQuery);
  const canManage = useCan()("members:manage");
  if (!canManage && !accounts.data?.length) return null;
  return (
    <Section
      title="Service accounts"
      lead="Members that are programs. Their keys go on working when the people who made them leave."
    >
      <QueryView
        query={accounts}
        what="the service accounts"
        skeleton={<SkeletonLines count={1} height={36} />}
      >
        {(list) => (list.length > 0 ? <AccountTable accounts={list} canManage={canManage} /> : null)}
      </QueryView>
      {canManage && <NewAccount />}
    </Section>
  );
}

function AccountTable({ accounts, canManage }: { accounts: ServiceAccount[]; canManage: boolean }) {
  const changeRole = useChangeAccountRole();
  const remove = useDeleteAccount();
  const [doomed, setDoomed] = useState<ServiceAccount | null>(null);
  const removeIt = () =>
    doomed &&
    remove.mutate(doomed.id, {
      onSuccess: () => {
        setDoomed(null);
        tell(`“${doomed.name}” and its keys are gone.`);
      },
      onError: tellFailure,
    });
  const columns: TableColumn<ServiceAccount>[] = [
    { key: "name", title: "Name", sortBy: (account) => account.name, cell: (account) => account.name },
    {
      key: "role",
      title: "Role",
      cell: (account) =>
        canManage ? (
          <NativeSelect
            w={120}
            aria-label={`Role of ${account.name}`}
            data={ROLE_CHOICES}
            value={account.role}
            onChange={(event) =>
              changeRole.mutate(
                { id: account.id, role: event.currentTarget.value as Role },
                { onError: tellFailure },
              )
            }
          />
        ) : (
          roleLabel(account.role)
        ),
    },
    {
      key: "created",
      title: "Made",
      isSecondary: true,
      cell: (account) => <TimeAgo at={account.created_at} />,
    },
  ];
  const removal: TableColumn<ServiceAccount> = {
    key: "delete",
    title: "",
    align: "end",
    cell: (account) => (
      <Button
        size="compact-sm"
        variant="subtle"
        onClick={() => setDoomed(account)}
        aria-label={`Delete ${account.name}`}
      >
        Delete
      </Button>
    ),
  };
  return (
    <>
      <Table
        label="Service accounts"
        columns={canManage ? [...columns, removal] : columns}
        items={accounts}
        rowKey={(account) => account.id}
      />
      <Confirm
        isOpen={doomed !== null}
        onClose={() => setDoomed(null)}
        title="Delete this service account?"
        action="Delete it"
        isBusy={remove.isPending}
        onConfirm={removeIt}
      >
        <p>
          Programs that use a key of “{doomed?.name}” are refused from now on. What it made stays. This cannot
          be taken back.
        </p>
      </Confirm>
    </>
  );
}

function NewAccount() {
  const create = useCreateAccount();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("member");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    create.mutate(
      { name: name.trim(), role },
      {
        onSuccess: (made) => {
          setName("");
          tell(`“${made.name}” is there. Make a key that acts for it.`);
        },
      },
    );
  };
  return (
    <form className={classes.row} onSubmit={submit}>
      <TextInput
        w={300}
        maw="100%"
        label="Name of the new account"
        placeholder="Which program is it?"
        required
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={create.error && messageOf(create.error)}
      />
      <NativeSelect
        label="Role of the account"
        data={ROLE_CHOICES}
        value={role}
        onChange={(event) => setRole(event.currentTarget.value as Role)}
      />
      <Button type="submit" variant="default" loading={create.isPending}>
        Make an account
      </Button>
    </form>
  );
}
