import { Button, Stack } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { ButtonLink } from "@/components/ui/button-link";
import { NewPassword } from "@/components/ui/new-password";
import { Notice } from "@/components/ui/notice";
import { Entry } from "@/components/layout/entry";
import { useLinkToken } from "@/features/session/components/link-token";
import { useFinishReset } from "@/features/session/queries";

const LEAD = "Choose a new password.";

export function ResetPasswordPage() {
  const token = useLinkToken();
  const finish = useFinishReset();
  const [password, setPassword] = useState("");
  const again = <Link to="/forgot-password">Ask for a new link</Link>;

  if (finish.isSuccess) {
    return (
      <Entry title="Your password is set" lead={LEAD}>
        <Notice
          tone="good"
          title="Your password is set"
          action={<ButtonLink to="/sign-in">Sign in</ButtonLink>}
        >
          It is the password of {finish.data.email} now. Wherever you were signed in, you are signed out.
        </Notice>
      </Entry>
    );
  }
  if (!token) {
    return (
      <Entry title="Set a new password" lead={LEAD} help={again}>
        <Notice tone="bad" title="This link is incomplete">
          Copy the whole of it from the mail, to its last letter, into the address bar.
        </Notice>
      </Entry>
    );
  }
  return (
    <Entry title="Set a new password" lead={LEAD} help={again}>
      <form
        onSubmit={(event: SubmitEvent) => {
          event.preventDefault();
          finish.mutate({ token, password });
        }}
      >
        <Stack gap="md">
          {finish.error && (
            <Notice tone="bad" title="Your password was not set">
              {messageOf(finish.error)}
            </Notice>
          )}
          <NewPassword value={password} onChange={setPassword} />
          <Button type="submit" loading={finish.isPending} fullWidth>
            Set the password
          </Button>
        </Stack>
      </form>
    </Entry>
  );
}
