import { Button, PasswordInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { Facts } from "@/components/ui/facts";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { useChangePassword, useSession } from "@/features/session/queries";
import classes from "./panel.module.css";

export function ProfilePanel() {
  const session = useSession();
  return (
    <div className={classes.panel}>
      <Section title="You">
        <Facts
          facts={[
            { label: "Name", value: session.user.name || "—" },
            { label: "Email", value: session.user.email },
            { label: "Workspace", value: session.workspace.name },
            { label: "Role", value: session.role },
          ]}
        />
      </Section>
      <Section title="Change your password">
        <PasswordForm />
      </Section>
    </div>
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
      {change.isSuccess && <Notice tone="good" title="Your password is changed" />}
      <PasswordInput
        label="Current password"
        autoComplete="current-password"
        required
        value={current}
        onChange={(event) => setCurrent(event.currentTarget.value)}
      />
      <PasswordInput
        label="New password"
        autoComplete="new-password"
        required
        value={next}
        onChange={(event) => setNext(event.currentTarget.value)}
      />
      <Button type="submit" loading={change.isPending}>
        Change password
      </Button>
    </form>
  );
}
