import { Button, Stack, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";
import { Entry } from "@/components/layout/entry";
import { signInOptionsQuery, useAskForReset } from "@/features/session/queries";

export function ForgotPasswordPage() {
  const options = useQuery(signInOptionsQuery);
  const ask = useAskForReset();
  const [email, setEmail] = useState("");
  const back = <Link to="/sign-in">Back to signing in</Link>;

  if (options.data && !options.data.sends_mail) {
    return (
      <Entry title="Forgot your password" lead="A new password, without the old one." help={back}>
        <Notice tone="quiet" title="This installation sends no mail">
          Ask an admin of your workspace: under Settings, Members they can make a link for you that sets a new
          password.
        </Notice>
      </Entry>
    );
  }
  if (ask.isSuccess) {
    return (
      <Entry title="Look at your mail" lead="A new password, without the old one." help={back}>
        <Notice tone="good" title="Look at your mail">
          If somebody here has the address {email}, a link is on its way to it. It works once, within half an
          hour. Nothing there? Look among unwanted mail too.
        </Notice>
      </Entry>
    );
  }
  return (
    <Entry
      title="Forgot your password"
      lead="Tell us your address, and we send you a link that sets a new password."
      help={back}
    >
      <form
        onSubmit={(event: SubmitEvent) => {
          event.preventDefault();
          ask.mutate(email);
        }}
      >
        <Stack gap="md">
          {ask.error && (
            <Notice tone="bad" title="Nothing was sent">
              {messageOf(ask.error)}
            </Notice>
          )}
          <TextInput
            label="Email"
            type="email"
            autoComplete="username"
            required
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <Button type="submit" loading={ask.isPending} fullWidth>
            Send me a link
          </Button>
        </Stack>
      </form>
    </Entry>
  );
}
