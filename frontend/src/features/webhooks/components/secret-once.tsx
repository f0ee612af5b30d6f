import type { MadeWebhook } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { CodeBlock } from "@/components/ui/code-block";
import { ShownOnce } from "@/components/ui/shown-once";
import { receiverSnippet } from "@/features/webhooks/components/snippet";

interface SecretOnceProps {
  made: MadeWebhook;
  onDone: () => void;
  /** On the webhook's own page there is no need for a way to it. */
  isThere?: boolean;
}

/** The secret of a new or changed webhook, which is not shown a second time. */
export function SecretOnce({ made, onDone, isThere = false }: SecretOnceProps) {
  return (
    <ShownOnce
      title="Copy this secret now"
      note="It is shown this once. With it the program that is called can tell that a call is from here: give it to whoever looks after that program, and to nobody else."
      onDone={onDone}
      beside={
        !isThere && (
          <ButtonLink variant="default" to="/settings/webhooks/$webhookId" params={{ webhookId: made.id }}>
            Go on and try it
          </ButtonLink>
        )
      }
    >
      <CodeBlock label={`The secret of “${made.name}”`} code={made.signing_secret} />
      <CodeBlock label="A receiver in Python, with this secret" code={receiverSnippet(made.signing_secret)} />
    </ShownOnce>
  );
}
