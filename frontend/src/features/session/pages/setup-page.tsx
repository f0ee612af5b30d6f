import { Button, Stack, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useRef, useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import { ButtonLink } from "@/components/ui/button-link";
import { NewPassword } from "@/components/ui/new-password";
import { Notice } from "@/components/ui/notice";
import { Entry } from "@/components/layout/entry";
import { useLinkToken } from "@/features/session/components/link-token";
import { signInOptionsQuery, useSetup } from "@/features/session/queries";

const LEAD = "Welcome. A minute, and it is yours.";
const EMPTY = { workspace_name: "", name: "", email: "", password: "" };

export function SetupPage() {
  const token = useLinkToken();
  const options = useQuery(signInOptionsQuery);
  const setup = useSetup();
  const navigate = useNavigate();
  const isSent = useRef(false);
  const [draft, setDraft] = useState(EMPTY);
  const set = (part: Partial<typeof EMPTY>) => setDraft({ ...draft, ...part });

  if (options.data?.is_set_up && !setup.isSuccess) {
    return (
      <Entry title="Set up already" lead="A language model of your own, made from your examples.">
        <Notice
          tone="quiet"
          title="This installation has its admin"
          action={<ButtonLink to="/sign-in">Sign in</ButtonLink>}
        >
          This link made the first one, and makes no other. An admin can invite you.
        </Notice>
      </Entry>
    );
  }
  if (!token) {
    return (
      <Entry title="Set up" lead={LEAD} help={<Link to="/sign-in">To the sign-in page</Link>}>
        <Notice tone="bad" title="This link is incomplete">
          Copy the whole of it, to its last letter, from what <code>tailorbird up</code> or{" "}
          <code>tailorbird migrate</code> printed.
        </Notice>
      </Entry>
    );
  }
  return (
    <Entry title="Set up" lead={LEAD}>
      <form
        onSubmit={(event: SubmitEvent) => {
          event.preventDefault();
          // of a double click the second would be told that somebody else was first
          if (isSent.current) return;
          isSent.current = true;
          setup.mutate(
            { ...draft, token },
            {
              onSuccess: () => void navigate({ to: "/" }),
              onError: () => {
                isSent.current = false;
              },
            },
          );
        }}
      >
        <Stack gap="md">
          {setup.error && (
            <Notice tone="bad" title="Nothing was set up">
              {messageOf(setup.error)}
            </Notice>
          )}
          <TextInput
            label="Your name"
            autoComplete="name"
            maxLength={100}
            required
            value={draft.name}
            onChange={(event) => set({ name: event.currentTarget.value })}
          />
          <TextInput
            label="Email"
            description="You sign in with it."
            type="email"
            autoComplete="username"
            required
            value={draft.email}
            onChange={(event) => set({ email: event.currentTarget.value })}
          />
          <NewPassword label="Password" value={draft.password} onChange={(password) => set({ password })} />
          <TextInput
            label="Name of your workspace"
            description="Your team or house. Everything you make lies in it; you can invite others later."
            placeholder="Front desk"
            maxLength={100}
            required
            value={draft.workspace_name}
            onChange={(event) => set({ workspace_name: event.currentTarget.value })}
          />
          <Button type="submit" loading={setup.isPending} fullWidth>
            Make it mine
          </Button>
        </Stack>
      </form>
    </Entry>
  );
}
