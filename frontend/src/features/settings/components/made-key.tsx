import { useQuery } from "@tanstack/react-query";
import type { CreatedApiKey } from "@/api/types";
import { CodeBlock } from "@/components/ui/code-block";
import { ShownOnce } from "@/components/ui/shown-once";
import { modelsQuery } from "@/features/models/queries";
import { exactTime } from "@/lib/format";
import { pythonSnippet } from "@/lib/snippets";
import { useNow } from "@/lib/use-now";

/** The one time that a secret is shown, with a program that uses it. */
export function MadeKey({ made, onDone }: { made: CreatedApiKey; onDone: () => void }) {
  const models = useQuery(modelsQuery);
  const now = useNow();
  const model =
    models.data?.find((item) => item.kind === "tuned") ?? models.data?.find((item) => item.is_ready);
  const whom = made.service_account_id ? "for its service account" : "in your name";
  return (
    <ShownOnce
      title="Copy this key now"
      note={
        <>
          It is shown this once and stored nowhere. Whoever has it can act {whom}.
          {made.previous_expires_at !== null &&
            made.previous_expires_at * 1000 > now &&
            ` The old secret goes on to work until ${exactTime(made.previous_expires_at)}.`}
        </>
      }
      onDone={onDone}
    >
      <CodeBlock label={`The key “${made.name}”`} code={made.key} />
      <CodeBlock
        label="From Python, with this key"
        code={pythonSnippet(model?.id ?? "YOUR_MODEL", window.location.origin, made.key)}
      />
    </ShownOnce>
  );
}
