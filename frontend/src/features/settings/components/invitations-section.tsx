import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Invitation, Role, SentInvitation } from "@/api/types";
import { CodeBlock } from "@/components/ui/code-block";
import { Notice } from "@/components/ui/notice";
import { tell, tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeUntil } from "@/components/ui/time-until";
import { ROLE_CHOICES, roleLabel } from "@/components/ui/roles";
import {
  invitationsQuery,
  useInvite,
  useResendInvitation,
  useRevokeInvitation,
} from "@/features/settings/queries";
import classes from "./panel.module.css";

/** Who was offered a seat, and the way to offer another. A link is shown once, where it was made. */
export function InvitationsSection() {
  const invitations = useQuery(invitationsQuery);
  const [sent, setSent] = useState<SentInvitation | null>(null);
  return (
    <Section title="Invite someone">
      {sent ? <Sent sent={sent} onDone={() => setSent(null)} /> : <InviteForm onSent={setSent} />}
      <QueryView
        query={invitations}
        what="the open invitations"
        skeleton={<SkeletonLines count={1} height={36} />}
      >
        {(list) => (list.length > 0 ? <OpenInvitations invitations={list} onSent={setSent} /> : null)}
      </QueryView>
    </Section>
  );
}

function InviteForm({ onSent }: { onSent: (sent: SentInvitation) => void }) {
  const invite = useInvite();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("member");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    invite.mutate({ email, role }, { onSuccess: onSent });
  };
  return (
    <form className={classes.row} onSubmit={submit}>
      <TextInput
        w={300}
        maw="100%"
        label="Email"
        type="email"
        required
        value={email}
        onChange={(event) => setEmail(event.currentTarget.value)}
        error={invite.error && messageOf(invite.error)}
      />
      <NativeSelect
        label="Role"
        data={ROLE_CHOICES}
        value={role}
        onChange={(event) => setRole(event.currentTarget.value as Role)}
      />
      <Button type="submit" loading={invite.isPending}>
        Invite
      </Button>
    </form>
  );
}

function Sent({ sent, onDone }: { sent: SentInvitation; onDone: () => void }) {
  const wayThere = sent.is_mailed
    ? `It is on its way to ${sent.email}. You can also pass the link on yourself.`
    : `This installation sends no mail: pass the link on to ${sent.email} yourself.`;
  return (
    <div className={classes.stack}>
      <Notice tone="good" title={`${sent.email} is invited`}>
        {wayThere} Whoever opens it takes the seat, once, within a week. It is shown here this once.
      </Notice>
      <CodeBlock label={`Invitation for ${sent.email}`} code={sent.link} />
      <div>
        <Button onClick={onDone}>Done</Button>
      </div>
    </div>
  );
}

interface OpenInvitationsProps {
  invitations: Invitation[];
  onSent: (sent: SentInvitation) => void;
}

function OpenInvitations({ invitations, onSent }: OpenInvitationsProps) {
  const resend = useResendInvitation();
  const revoke = useRevokeInvitation();
  const takeBack = (invitation: Invitation) =>
    revoke.mutate(invitation.id, {
      onSuccess: () => tell(`The invitation of ${invitation.email} opens nothing any more.`),
      onError: tellFailure,
    });
  const columns: TableColumn<Invitation>[] = [
    {
      key: "email",
      title: "Invited",
      sortBy: (invitation) => invitation.email,
      cell: (invitation) => (
        <div className={classes.who}>
          <span>{invitation.email}</span>
          <small>by {invitation.inviter_name}</small>
        </div>
      ),
    },
    {
      key: "role",
      title: "Role",
      isSecondary: true,
      cell: (invitation) => roleLabel(invitation.role),
    },
    {
      key: "state",
      title: "Expires",
      cell: (invitation) =>
        invitation.is_expired ? (
          <Status tone="quiet">Expired</Status>
        ) : (
          <TimeUntil at={invitation.expires_at} />
        ),
    },
    {
      key: "actions",
      title: "",
      align: "end",
      cell: (invitation) => (
        <div className={classes.actions}>
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => resend.mutate(invitation.id, { onSuccess: onSent, onError: tellFailure })}
            aria-label={`Send the invitation of ${invitation.email} again`}
          >
            Send again
          </Button>
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={() => takeBack(invitation)}
            aria-label={`Take back the invitation of ${invitation.email}`}
          >
            Take back
          </Button>
        </div>
      ),
    },
  ];
  return (
    <Table
      label="Open invitations"
      columns={columns}
      items={invitations}
      rowKey={(invitation) => invitation.id}
    />
  );
}
