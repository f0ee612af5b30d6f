import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState, type SubmitEvent } from "react";
import { ApiError, messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";
import { Entry } from "@/components/layout/entry";
import { problemSentence } from "@/features/session/problems";
import { signInOptionsQuery, useSignIn, useStartSingleSignOn } from "@/features/session/queries";
import classes from "./sign-in-page.module.css";

const route = getRouteApi("/sign-in");
const LEAD = "A language model of your own, made from your examples.";

/** Only an address of our own may be returned to. */
function safeReturn(to: string | undefined): string {
  return to && to.startsWith("/") && !to.startsWith("//") && !to.startsWith("/\\") ? to : "/";
}

const JOIN = "/join?token=";

/** Whoever comes from an invitation takes its seat on the way in: without it, some may not come in at all. */
function invitationOf(to: string | undefined): string | null {
  return to?.startsWith(JOIN) ? decodeURIComponent(to.slice(JOIN.length)) : null;
}

export function SignInPage() {
  const { to, problem } = route.useSearch();
  const options = useQuery(signInOptionsQuery);
  const signIn = useSignIn();
  const [asks, setAsks] = useState<"password" | "code">("password");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const navigate = useNavigate();
  const invitation = invitationOf(to);

  const submit = (code?: string) =>
    signIn.mutate(
      { email, password, code: code ?? null, invitation },
      {
        onSuccess: () => void navigate({ to: invitation ? "/" : safeReturn(to) }),
        onError: (error) => isCode(error, "second_factor_required") && setAsks("code"),
      },
    );

  if (options.data && !options.data.is_set_up) return <NotSetUp />;
  if (asks === "code") {
    return (
      <CodeStep
        error={isCode(signIn.error, "second_factor_required") ? null : signIn.error}
        isBusy={signIn.isPending}
        onSubmit={submit}
        onBack={() => {
          setAsks("password");
          setPassword("");
          signIn.reset();
        }}
      />
    );
  }
  return (
    <Entry
      title="Sign in"
      lead={LEAD}
      help="No account yet? An admin of your workspace can invite you under Settings, Members."
    >
      <Stack gap="md">
        <Before to={to} isJoining={invitation !== null} problem={problem} error={signIn.error} />
        {options.data?.oidc_name && <SingleSignOn name={options.data.oidc_name} to={safeReturn(to)} />}
        <form
          onSubmit={(event: SubmitEvent) => {
            event.preventDefault();
            submit();
          }}
        >
          <Stack gap="md">
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
        <div className={classes.under}>
          <Link to="/forgot-password">Forgot your password?</Link>
        </div>
      </Stack>
    </Entry>
  );
}

/** What one should know before one signs in: the latest news alone. */
function Before({
  to,
  isJoining,
  problem,
  error,
}: {
  to: string | undefined;
  isJoining: boolean;
  problem: string | undefined;
  error: unknown;
}) {
  if (error) {
    return (
      <Notice tone="bad" title="You are not signed in">
        {signInSentence(error)}
      </Notice>
    );
  }
  if (problem) {
    return (
      <Notice tone="bad" title="The single sign-on did not work">
        {problemSentence(problem)}
      </Notice>
    );
  }
  if (isJoining) {
    return (
      <Notice tone="warn" title="Sign in to join">
        You take the seat that you are invited to, and are there.
      </Notice>
    );
  }
  return to ? (
    <Notice tone="warn" title="Sign in to go on">
      You will return to the page you were on.
    </Notice>
  ) : null;
}

function SingleSignOn({ name, to }: { name: string; to: string }) {
  const start = useStartSingleSignOn();
  return (
    <>
      {start.error && (
        <Notice tone="bad" title={`We could not reach ${name}`}>
          {messageOf(start.error)}
        </Notice>
      )}
      <Button
        variant="default"
        fullWidth
        loading={start.isPending || start.isSuccess}
        onClick={() => start.mutate(to)}
      >
        Continue with {name}
      </Button>
      <div className={classes.or}>or with your password</div>
    </>
  );
}

interface CodeStepProps {
  error: unknown;
  isBusy: boolean;
  onSubmit: (code: string) => void;
  onBack: () => void;
}

function CodeStep({ error, isBusy, onSubmit, onBack }: CodeStepProps) {
  const [code, setCode] = useState("");
  return (
    <Entry
      title="Your code"
      lead="One more step: the code that your authenticator app shows."
      help="Lost the app? Type one of your recovery codes instead. Lost those too? Ask who runs this installation."
    >
      <form
        onSubmit={(event: SubmitEvent) => {
          event.preventDefault();
          onSubmit(code);
        }}
      >
        <Stack gap="md">
          {error !== null && (
            <Notice tone="bad" title="You are not signed in">
              {messageOf(error)}
            </Notice>
          )}
          <TextInput
            label="Code"
            description="Six digits, or a recovery code."
            autoComplete="one-time-code"
            data-autofocus
            ref={(input) => input?.focus()}
            required
            value={code}
            onChange={(event) => setCode(event.currentTarget.value)}
          />
          <Button type="submit" loading={isBusy} fullWidth>
            Sign in
          </Button>
          <Button variant="subtle" onClick={onBack}>
            Back
          </Button>
        </Stack>
      </form>
    </Entry>
  );
}

function NotSetUp() {
  return (
    <Entry title="Not set up yet" lead={LEAD}>
      <Notice tone="warn" title="This installation has no admin yet">
        <p>
          Whoever started it has a link that makes the first one: it was printed by <code>tailorbird up</code>{" "}
          or <code>tailorbird migrate</code> and begins with <code>{window.location.origin}/setup#</code>
        </p>
      </Notice>
    </Entry>
  );
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof ApiError && error.code === code;
}

function signInSentence(error: unknown): string {
  if (isCode(error, "sign_in_failed"))
    return "Email or password is not right. Check both and try again, or have a new password set.";
  return messageOf(error);
}
