import { Button, NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { Member, Role } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { useCan, useSession } from "@/features/session/queries";
import { InvitationsSection } from "@/features/settings/components/invitations-section";
import { MemberHelp } from "@/features/settings/components/member-help";
import { RoleGuide } from "@/features/settings/components/role-guide";
import { ROLE_CHOICES, roleLabel } from "@/components/ui/roles";
import { membersQuery, useChangeRole, useRemoveMember } from "@/features/settings/queries";
import classes from "./panel.module.css";

export function MembersPanel() {
  const members = useQuery(membersQuery);
  const canManage = useCan()("members:manage");
  return (
    <div className={classes.panel}>
      <Section title="People" lead="Everybody here sees the same data and models. Nobody else does.">
        <QueryView query={members} what="the members" skeleton={<SkeletonLines count={3} height={36} />}>
          {(list) => <MemberTable members={list} canManage={canManage} />}
        </QueryView>
        <RoleGuide />
      </Section>
      {canManage && <InvitationsSection />}
    </div>
  );
}

function MemberTable({ members, canManage }: { members: Member[]; canManage: boolean }) {
  const me = useSession().user.id;
  const changeRole = useChangeRole();
  const remove = useRemoveMember();
  const [leaving, setLeaving] = useState<Member | null>(null);
  const [stuck, setStuck] = useState<Member | null>(null);
  const nameOf = (member: Member) => member.name || member.email;
  const removeIt = () =>
    leaving &&
    remove.mutate(leaving.id, {
      onSuccess: () => {
        setLeaving(null);
        tell(`${nameOf(leaving)} is no longer a member.`);
      },
      onError: tellFailure,
    });
  const columns: TableColumn<Member>[] = [
    {
      key: "name",
      title: "Name",
      sortBy: nameOf,
      cell: (member) => (
        <div className={classes.who}>
          <span>
            {nameOf(member)}
            {member.id === me && <small> (you)</small>}
          </span>
          <small>{member.email}</small>
        </div>
      ),
    },
    {
      key: "role",
      title: "Role",
      cell: (member) =>
        canManage && member.id !== me ? (
          <NativeSelect
            w={120}
            aria-label={`Role of ${nameOf(member)}`}
            data={ROLE_CHOICES}
            value={member.role}
            onChange={(event) =>
              changeRole.mutate(
                { id: member.id, role: event.currentTarget.value as Role },
                { onError: tellFailure },
              )
            }
          />
        ) : (
          roleLabel(member.role)
        ),
    },
  ];
  const actions: TableColumn<Member> = {
    key: "actions",
    title: "",
    align: "end",
    cell: (member) =>
      member.id !== me && (
        <div className={classes.actions}>
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => setStuck(member)}
            aria-label={`Help ${nameOf(member)} back in`}
          >
            Cannot sign in?
          </Button>
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => setLeaving(member)}
            aria-label={`Remove ${nameOf(member)}`}
          >
            Remove
          </Button>
        </div>
      ),
  };
  return (
    <>
      <Table
        label="Members"
        columns={canManage ? [...columns, actions] : columns}
        items={members}
        rowKey={(member) => member.id}
      />
      <MemberHelp member={stuck} onClose={() => setStuck(null)} />
      <Confirm
        isOpen={leaving !== null}
        onClose={() => setLeaving(null)}
        title="Remove this person?"
        action="Remove"
        keep="Keep them"
        isBusy={remove.isPending}
        onConfirm={removeIt}
      >
        <p>
          {leaving && nameOf(leaving)} can no longer see this workspace, and the API keys that act for them
          are refused from now on. What they made stays, and so do the keys of service accounts.
        </p>
      </Confirm>
    </>
  );
}
