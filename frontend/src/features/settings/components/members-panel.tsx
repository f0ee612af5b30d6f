import { Button, NativeSelect, PasswordInput, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Member, Role } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { useCan, useSession } from "@/features/session/queries";
import { membersQuery, useAddMember, useChangeRole, useRemoveMember } from "@/features/settings/queries";
import classes from "./panel.module.css";

const ROLES: { value: Role; label: string }[] = [
  { value: "viewer", label: "Viewer: look" },
  { value: "reviewer", label: "Reviewer: look and try models" },
  { value: "member", label: "Member: make models" },
  { value: "admin", label: "Admin: everything" },
];

export function MembersPanel() {
  const members = useQuery(membersQuery);
  const canManage = useCan()("members:manage");
  const me = useSession().user.id;
  const changeRole = useChangeRole();
  const remove = useRemoveMember();
  const [leaving, setLeaving] = useState<Member | null>(null);
  const removeIt = () =>
    leaving && remove.mutate(leaving.id, { onSuccess: () => setLeaving(null), onError: tellFailure });
  const columns: TableColumn<Member>[] = [
    { key: "name", title: "Name", sortBy: (member) => member.name, cell: (member) => member.name || "—" },
    {
      key: "email",
      title: "Email",
      isSecondary: true,
      sortBy: (member) => member.email,
      cell: (member) => member.email,
    },
    {
      key: "role",
      title: "Role",
      cell: (member) =>
        canManage && member.id !== me ? (
          <NativeSelect
            aria-label={`Role of ${member.name}`}
            data={ROLES}
            value={member.role}
            onChange={(event) =>
              changeRole.mutate(
                { id: member.id, role: event.currentTarget.value as Role },
                { onError: tellFailure },
              )
            }
          />
        ) : (
          member.role
        ),
    },
    {
      key: "remove",
      title: "",
      align: "end",
      cell: (member) =>
        canManage &&
        member.id !== me && (
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => setLeaving(member)}
            aria-label={`Remove ${member.name}`}
          >
            Remove
          </Button>
        ),
    },
  ];
  return (
    <div className={classes.panel}>
      <QueryView query={members} what="the members" skeleton={<SkeletonLines count={3} height={36} />}>
        {(list) => (
          <Section title="Who is here">
            <Table label="Members" columns={columns} items={list.data} rowKey={(member) => member.id} />
          </Section>
        )}
      </QueryView>
      {canManage && (
        <Section title="Add someone">
          <AddMember />
        </Section>
      )}
      <Confirm
        isOpen={leaving !== null}
        onClose={() => setLeaving(null)}
        title="Remove this person?"
        action="Remove"
        keep="Keep them"
        isBusy={remove.isPending}
        onConfirm={removeIt}
      >
        <p>{leaving?.name} can no longer sign in here. What they made stays.</p>
      </Confirm>
    </div>
  );
}

const NOBODY = { email: "", name: "", role: "member" as Role, password: "" };

function AddMember() {
  const add = useAddMember();
  const [person, setPerson] = useState(NOBODY);
  const set = (part: Partial<typeof NOBODY>) => setPerson({ ...person, ...part });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    add.mutate(person, { onSuccess: () => setPerson(NOBODY) });
  };
  return (
    <form className={classes.form} onSubmit={submit}>
      {add.error && (
        <Notice tone="bad" title="They were not added">
          {messageOf(add.error)}
        </Notice>
      )}
      <TextInput
        label="Name"
        required
        value={person.name}
        onChange={(event) => set({ name: event.currentTarget.value })}
      />
      <TextInput
        label="Email"
        type="email"
        required
        value={person.email}
        onChange={(event) => set({ email: event.currentTarget.value })}
      />
      <NativeSelect
        label="Role"
        data={ROLES}
        value={person.role}
        onChange={(event) => set({ role: event.currentTarget.value as Role })}
      />
      <PasswordInput
        label="First password"
        description="Tell it to them; they can change it under Profile."
        autoComplete="new-password"
        required
        value={person.password}
        onChange={(event) => set({ password: event.currentTarget.value })}
      />
      <Button type="submit" loading={add.isPending}>
        Add
      </Button>
    </form>
  );
}
