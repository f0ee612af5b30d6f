import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { MadeWorkerToken } from "@/api/types";
import { CodeBlock } from "@/components/ui/code-block";
import { Section } from "@/components/ui/page";
import { ShownOnce } from "@/components/ui/shown-once";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { AdminPage } from "@/features/admin/components/admin-page";
import { TokenList } from "@/features/admin/components/token-list";
import { useMakeToken } from "@/features/admin/mutations";
import { tokensQuery } from "@/features/admin/queries";
import { useRefresh } from "@/features/admin/refresh";
import classes from "./join-page.module.css";

export function JoinPage() {
  return (
    <AdminPage
      title="Join a machine"
      lead="A machine that can reach this service takes jobs from it. It needs the program and one command."
    >
      <Content />
    </AdminPage>
  );
}

function Content() {
  const { options } = useRefresh();
  const tokens = useQuery({ ...tokensQuery, ...options });
  const [made, setMade] = useState<MadeWorkerToken | null>(null);
  return (
    <>
      {made ? <Made made={made} onDone={() => setMade(null)} /> : <NewToken onMade={setMade} />}
      <QueryView query={tokens} what="the tokens" skeleton={<SkeletonLines count={3} height={36} />}>
        {(list) =>
          list.length === 0 ? (
            <Empty title="No other machine has joined">
              The workers on this machine need no token. Give each further machine one of its own, so that it
              can be shut out by itself.
            </Empty>
          ) : (
            <Section title="Tokens">
              <TokenList tokens={list} />
            </Section>
          )
        }
      </QueryView>
    </>
  );
}

function NewToken({ onMade }: { onMade: (made: MadeWorkerToken) => void }) {
  const make = useMakeToken();
  const [name, setName] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    make.mutate(name.trim(), { onSuccess: onMade });
  };
  return (
    <form className={classes.row} onSubmit={submit}>
      <TextInput
        label="Name of the machine"
        placeholder="Where does it stand?"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={make.error && messageOf(make.error)}
        maxLength={100}
        required
      />
      <Button type="submit" loading={make.isPending}>
        Make its command
      </Button>
    </form>
  );
}

/** One option a line, as a shell takes it too. */
function onLines(command: string): string {
  return command.replaceAll(" --", " \\\n  --");
}

function Made({ made, onDone }: { made: MadeWorkerToken; onDone: () => void }) {
  return (
    <ShownOnce
      title="Copy this command now"
      note={`It holds the token, which is shown this once and stored nowhere. Run it on the machine “${made.name}”; its worker appears under Workers within seconds.`}
      onDone={onDone}
    >
      <CodeBlock label={`On ${made.name}`} code={onLines(made.command)} />
    </ShownOnce>
  );
}
