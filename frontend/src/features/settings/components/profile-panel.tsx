import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Profile } from "@/api/types";
import { Facts } from "@/components/ui/facts";
import { NewPassword } from "@/components/ui/new-password";
import { Notice } from "@/components/ui/notice";
import { tell } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { problemSentence, useSession } from "@/features/session/queries";
import { profileQuery, useChangePassword, useRename } from "@/features/settings/account-queries";
import { IdentitySection } from "./identity-section";
import classes from "./panel.module.css";
import { TotpSection } from "./totp-section";

/** `problem` is why linking the single sign-on led back here without having worked. */
export function ProfilePanel({ problem }: { problem?: string | undefined }) {
  const profile = useQuery(profileQuery);
  return (
    <div className={classes.panel}>
      {problem && (
        <Notice tone="bad" title="The single sign-on was not linked">
          {problemSentence(problem)}
        </Notice>
      )}
      <QueryView query={profile} what="your profile" skeleton={<SkeletonLines count={8} height={36} />}>
        {(found) => (
          <>
            <You profile={found} />
            <Section title="Password">
              {found.has_password ? <PasswordForm /> : <NoPassword oidcName={found.oidc_name} />}
            </Section>
            {found.has_password && <TotpSection totp={found.totp} />}
            <IdentitySection profile={found} />
          </>
        )}
      </QueryView>
    </div>
  );
}

/** Broken at its @ where it has to be broken. */
function Address({ of }: { of: string }) {
  const at = of.lastIndexOf("@");
  return (
    <span className={classes.address}>
      {of.slice(0, at)}
      <wbr />
      {of.slice(at)}
    </span>
  );
}

function You({ profile }: { profile: Profile }) {
  const session = useSession();
  const rename = useRename();
  const [name, setName] = useState(profile.name);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    rename.mutate(name, { onSuccess: () => tell("Your name is changed.") });
  };
  return (
    <Section title="You">
      <Facts
        facts={[
          { label: "Email", value: <Address of={profile.email} /> },
          { label: "Workspace", value: session.workspace.name },
          { label: "Role", value: session.role },
        ]}
      />
      <form className={classes.row} onSubmit={submit}>
        <TextInput
          label="Name"
          description="As others see it."
          autoComplete="name"
          maxLength={100}
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={rename.error && messageOf(rename.error)}
        />
        <Button
          type="submit"
          variant="default"
          loading={rename.isPending}
          disabled={name.trim() === profile.name || name.trim() === ""}
        >
          Change name
        </Button>
      </form>
    </Section>
  );
}

function NoPassword({ oidcName }: { oidcName: string | null }) {
  return (
    <p>
      You have none here: you sign in with {oidcName ?? "the single sign-on"}. To have one too, sign out and
      choose <em>Forgot your password?</em> on the sign-in page.
    </p>
  );
}

function PasswordForm() {
  const change = useChangePassword();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    change.mutate(
      { current_password: current, new_password: next },
      {
        onSuccess: () => {
          setCurrent("");
          setNext("");
        },
      },
    );
  };
  return (
    <form className={classes.form} onSubmit={submit}>
      {change.error && (
        <Notice tone="bad" title="Your password was not changed">
          {messageOf(change.error)}
        </Notice>
      )}
      {change.isSuccess && (
        <Notice tone="good" title="Your password is changed">
          Wherever else you were signed in, you are signed out.
        </Notice>
      )}
      <PasswordInput
        label="Current password"
        autoComplete="current-password"
        required
        value={current}
        onChange={(event) => setCurrent(event.currentTarget.value)}
      />
      <NewPassword value={next} onChange={setNext} />
      <Button type="submit" loading={change.isPending}>
        Change password
      </Button>
    </form>
  );
}
