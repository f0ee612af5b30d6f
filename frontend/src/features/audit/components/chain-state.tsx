import { useQuery } from "@tanstack/react-query";
import { CodeBlock } from "@/components/ui/code-block";
import { Notice } from "@/components/ui/notice";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import type { AuditChain } from "@/api/types";
import { auditChainQuery, type AuditScope } from "@/features/audit/queries";
import { dayOf, plural } from "@/lib/format";
import classes from "./audit.module.css";

interface ChainStateProps {
  scope: AuditScope;
  workspace?: string | undefined;
}

/** Whether anybody changed the log behind its back. */
export function ChainState({ scope, workspace }: ChainStateProps) {
  const chain = useQuery(auditChainQuery(scope, workspace));
  const state = scope === "installation" && !workspace ? "The installation’s own log: unbroken" : "Unbroken";
  return (
    <QueryView
      query={chain}
      what="whether the log is whole"
      skeleton={<SkeletonLines count={1} height={72} />}
    >
      {(found) => (found.is_unbroken ? <Whole chain={found} state={state} /> : <Broken chain={found} />)}
    </QueryView>
  );
}

function Whole({ chain, state }: { chain: AuditChain; state: string }) {
  if (chain.since === null) return null;
  const isPart = chain.first_sequence > 1;
  return (
    <Notice tone="good" title={`${state} since ${dayOf(chain.since)}`}>
      <p>
        {isPart ? `The newest ${plural(chain.num_checked, "entry", "entries")} were checked just now: ` : ""}
        {!isPart && `${plural(chain.num_checked, "entry", "entries")}, checked just now: `}
        none was changed, removed or put in after it was written.
        {isPart && " Who runs this installation can check all of them: tailorbird audit verify."}
      </p>
      <details className={classes.proof}>
        <summary>How to be sure later</summary>
        <p>
          Each entry is sealed with the one before it. Keep this seal of the newest one where nobody who has
          the database can reach it. With it, even a log that was rewritten from its beginning is found out.
        </p>
        <CodeBlock label={`Seal of entry ${chain.sequence}`} code={`${chain.sequence}:${chain.hash}`} />
      </details>
    </Notice>
  );
}

function Broken({ chain }: { chain: AuditChain }) {
  return (
    <Notice tone="bad" title="Somebody changed this log">
      <p>
        {chain.first_break?.message} It happened in the database and not by this program, which cannot change
        an entry.{" "}
        {chain.num_checked > 0 &&
          `${plural(chain.num_checked, "entry", "entries")} before it are as they were written.`}
      </p>
      <p>
        Tell whoever runs this installation, keep a copy of the log as it is now, and compare it with a
        backup.
      </p>
    </Notice>
  );
}
