import { Button } from "@mantine/core";
import { useState } from "react";
import type { Profile } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { useLinkIdentity, useUnlinkIdentity } from "@/features/settings/account-queries";
import classes from "./panel.module.css";
import { PasswordPrompt } from "./password-prompt";

type Identity = Profile["identities"][number];

/** Who one is at the single sign-on, and linking it; nothing where there is none. */
export function IdentitySection({ profile }: { profile: Profile }) {
  const unlink = useUnlinkIdentity();
  const [doomed, setDoomed] = useState<Identity | null>(null);
  const { identities, oidc_name: name } = profile;
  if (!name && identities.length === 0) return null;
  const columns: TableColumn<Identity>[] = [
    {
      key: "email",
      title: "Signs you in as",
      cell: (item) => item.email ?? "an identity without an address",
    },
    { key: "linked", title: "Linked", isSecondary: true, cell: (item) => <TimeAgo at={item.created_at} /> },
    { key: "used", title: "Last used", cell: (item) => <TimeAgo at={item.last_used_at} /> },
    {
      key: "unlink",
      title: "",
      align: "end",
      cell: (item) => (
        <Button size="compact-sm" variant="subtle" onClick={() => setDoomed(item)}>
          Unlink
        </Button>
      ),
    },
  ];
  return (
    <Section
      title={`Sign in with ${name ?? "the single sign-on"}`}
      lead="Linked, it opens this account without its password."
    >
      <div className={classes.stack}>
        {identities.length > 0 && (
          <Table label="Linked identities" columns={columns} items={identities} rowKey={(item) => item.id} />
        )}
        {name && identities.length === 0 && <LinkButton name={name} hasPassword={profile.has_password} />}
      </div>
      <Confirm
        isOpen={doomed !== null}
        onClose={() => setDoomed(null)}
        title="Unlink it?"
        action="Unlink"
        isBusy={unlink.isPending}
        onConfirm={() =>
          doomed &&
          unlink.mutate(doomed.id, {
            onSuccess: () => tell("It opens your account no longer."),
            onError: tellFailure,
            onSettled: () => setDoomed(null),
          })
        }
      >
        <p>From now on it does not sign you in here. You can link it again.</p>
      </Confirm>
    </Section>
  );
}

function LinkButton({ name, hasPassword }: { name: string; hasPassword: boolean }) {
  const link = useLinkIdentity();
  const [isAsking, setAsking] = useState(false);
  const begin = () => (hasPassword ? setAsking(true) : link.mutate(null, { onError: tellFailure }));
  return (
    <div>
      <Button variant="default" onClick={begin} loading={link.isPending && !isAsking}>
        Link {name}
      </Button>
      <PasswordPrompt
        isOpen={isAsking}
        onClose={() => {
          setAsking(false);
          link.reset();
        }}
        title={`Link ${name}`}
        action={`Go to ${name}`}
        failure="Nothing was linked"
        error={link.error}
        isBusy={link.isPending || link.isSuccess}
        onSubmit={(password) => link.mutate(password)}
      >
        <p>You sign in there once, and come back here.</p>
      </PasswordPrompt>
    </div>
  );
}
