import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState, type SubmitEvent } from "react";
import { ApiError, messageOf } from "@/api/errors";
import type { Offer, Session } from "@/api/types";
import { Entry } from "@/components/layout/entry";
import { Notice } from "@/components/ui/notice";
import { roleLabel, ROLES } from "@/components/ui/roles";
import { SkeletonLines } from "@/components/ui/skeletons";
import { sessionQuery, useSignOut } from "@/features/session/queries";
import { offerQuery, useAccept, useJoin } from "@/features/workspaces/queries";
import classes from "./join-page.module.css";

const route = getRouteApi("/join");

/** Where the link of an invitation leads. Says nothing about whether the address has an account. */
export function JoinPage() {
  const { token = "" } = route.useSearch();
  const offer = useQuery(offerQuery(token));
  // whoever is not signed in has none, which is no failure here
  const session = useQuery(sessionQuery);
  if (offer.error) {
    return (
      <Entry title="Join">
        <Over error={offer.error} />
      </Entry>
    );
  }
  if (!offer.data || session.isPending) {
    return (
      <Entry title="Join">
        <div role="status" aria-label="Loading the invitation">
          <SkeletonLines count={4} height={36} />
        </div>
      </Entry>
    );
  }
  return (
    <Entry title="Join" heading={`Join ${offer.data.workspace_name}`}>
      <Terms offer={offer.data} />
      {session.data ? (
        <AsMember offer={offer.data} token={token} session={session.data} />
      ) : (
        <AsNewcomer offer={offer.data} token={token} />
      )}
    </Entry>
  );
}

function Terms({ offer }: { offer: Offer }) {
  const may = ROLES.find((role) => role.value === offer.role)?.offer;
  return (
    <p className={classes.terms}>
      {offer.inviter_name} invites <strong>{offer.email}</strong>. Your role will be{" "}
      <strong>{roleLabel(offer.role)}</strong>. {may}
    </p>
  );
}

function Over({ error }: { error: unknown }) {
  const isGone = error instanceof ApiError && error.isNotFound;
  return (
    <Stack gap="md">
      <Notice tone="bad" title={isGone ? "This invitation opens nothing any more" : "We could not open this"}>
        {messageOf(error)}
      </Notice>
      <Link to="/">Go to Tailorbird</Link>
    </Stack>
  );
}

interface AsMemberProps {
  offer: Offer;
  token: string;
  session: Session;
}

function AsMember({ offer, token, session }: AsMemberProps) {
  const join = useJoin();
  const signOut = useSignOut();
  const navigate = useNavigate();
  if (session.user.email !== offer.email) {
    return (
      <Stack gap="md">
        <Notice tone="warn" title={`You are signed in as ${session.user.email}`}>
          The invitation is for another address. Sign out to accept it, or ask for one to yours.
        </Notice>
        <Button
          loading={signOut.isPending}
          onClick={() => signOut.mutate(undefined, { onSettled: () => window.location.reload() })}
        >
          Sign out
        </Button>
      </Stack>
    );
  }
  const accept = () => join.mutate(token, { onSuccess: () => void navigate({ to: "/", replace: true }) });
  return (
    <Stack gap="md">
      {join.error && (
        <Notice tone="bad" title="You have not joined">
          {messageOf(join.error)}
        </Notice>
      )}
      <Button loading={join.isPending} onClick={accept}>
        Join {offer.workspace_name}
      </Button>
    </Stack>
  );
}

function AsNewcomer({ offer, token }: { offer: Offer; token: string }) {
  const accept = useAccept();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    accept.mutate({ token, name, password }, { onSuccess: () => void navigate({ to: "/", replace: true }) });
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        {accept.error && (
          <Notice tone="bad" title="You have not joined yet">
            {messageOf(accept.error)}
          </Notice>
        )}
        <TextInput
          label="Your name"
          autoComplete="name"
          required
          maxLength={100}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        {/* so that a password manager keeps the two together */}
        <input type="hidden" autoComplete="username" value={offer.email} readOnly />
        <PasswordInput
          label="Choose a password"
          description="At least 12 characters. A short sentence is easy to remember."
          autoComplete="new-password"
          required
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Button type="submit" loading={accept.isPending} fullWidth>
          Join {offer.workspace_name}
        </Button>
        <p className={classes.help}>
          You have an account here already?{" "}
          <Link to="/sign-in" search={{ to: `/join?token=${encodeURIComponent(token)}` }}>
            Sign in to join
          </Link>
        </p>
      </Stack>
    </form>
  );
}
