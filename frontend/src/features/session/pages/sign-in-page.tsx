import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useEffect, useState, type SubmitEvent } from "react";
import { ApiError, messageOf } from "@/api/errors";
import { Mark } from "@/components/ui/mark";
import { Notice } from "@/components/ui/notice";
import { useSignIn } from "@/features/session/queries";
import classes from "./sign-in-page.module.css";

const route = getRouteApi("/sign-in");

/** Only an address of our own may be returned to. */
function safeReturn(to: string | undefined): string {
  return to && to.startsWith("/") && !to.startsWith("//") && !to.startsWith("/\\") ? to : "/";
}

export function SignInPage() {
  const { to } = route.useSearch();
  const navigate = useNavigate();
  const signIn = useSignIn();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");

  useEffect(() => {
    document.title = "Sign in · Tailorbird";
  }, []);

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    signIn.mutate({ email, password }, { onSuccess: () => void navigate({ to: safeReturn(to) }) });
  };
  return (
    <main className={classes.page}>
      <div className={classes.panel}>
        <div className={classes.brand}>
          <Mark size={40} />
          <h1>Tailorbird</h1>
          <p>A language model of your own, made from your examples.</p>
        </div>
        <form onSubmit={submit}>
          <Stack gap="md">
            {to && !signIn.error && (
              <Notice tone="warn" title="Sign in to go on">
                You will return to the page you were on.
              </Notice>
            )}
            {signIn.error && (
              <Notice tone="bad" title="You are not signed in">
                {signInSentence(signIn.error)}
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
            <PasswordInput
              label="Password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
            />
            <Button type="submit" loading={signIn.isPending} fullWidth>
              Sign in
            </Button>
          </Stack>
        </form>
        <p className={classes.help}>
          No account yet? An admin of your workspace can add you under Settings, Members.
        </p>
      </div>
    </main>
  );
}

function signInSentence(error: unknown): string {
  if (error instanceof ApiError && error.isSignedOut) {
    return "Email or password is not right. Check both and try again; an admin can set a new password.";
  }
  return messageOf(error);
}
