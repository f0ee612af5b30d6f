import { Button, Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Section } from "@/components/ui/page";
import { Paging } from "@/components/ui/paging";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { AuditFilters } from "@/features/audit/components/audit-filters";
import { ChainState } from "@/features/audit/components/chain-state";
import { EventList } from "@/features/audit/components/event-list";
import {
  auditEventsQuery,
  auditFileUrl,
  auditWorkspacesQuery,
  type AuditScope,
  type AuditSearch,
} from "@/features/audit/queries";
import classes from "./audit.module.css";

interface AuditLogProps {
  scope: AuditScope;
  search: AuditSearch;
  onSearch: (search: AuditSearch) => void;
}

const LEADS = {
  workspace: "Who did what in this workspace, newest first. Entries are only ever added.",
  installation: "Who did what in every workspace and to the installation. That you look is written down too.",
};

export function AuditLog({ scope, search, onSearch }: AuditLogProps) {
  const events = useQuery(auditEventsQuery(scope, search));
  const workspaces = useQuery({ ...auditWorkspacesQuery, enabled: scope === "installation" });
  const names = new Map(workspaces.data?.data.map(({ id, name }) => [id, name]));
  // Another choice begins again at the newest entry.
  const choose = (part: AuditSearch) => onSearch({ ...search, after: undefined, ...part });
  const { after, workspace, ...looked } = search;
  const isNarrowed = Object.values(looked).some(Boolean);
  return (
    <div className={classes.page}>
      <ChainState scope={scope} workspace={workspace} />
      <Section title="What was done" lead={LEADS[scope]} actions={<TakeOut scope={scope} search={search} />}>
        <AuditFilters scope={scope} search={search} onChoose={choose} />
        <QueryView query={events} what="the log" skeleton={<SkeletonLines count={8} height={40} />}>
          {(list) => (
            <>
              {list.data.length > 0 && (
                <EventList
                  events={list.data}
                  onChoose={choose}
                  workspaces={scope === "installation" ? names : undefined}
                />
              )}
              {list.data.length === 0 && isNarrowed && (
                <p className={classes.none}>
                  Nothing matches.{" "}
                  <Button size="compact-sm" variant="subtle" onClick={() => onSearch({ workspace })}>
                    Show everything
                  </Button>
                </p>
              )}
              {list.data.length === 0 && !isNarrowed && (
                <Empty title="Nothing was done yet">
                  Who signs in, makes a key or starts a training stands here from then on.
                </Empty>
              )}
              <Paging
                newest={
                  after && (
                    <Button
                      size="xs"
                      variant="subtle"
                      onClick={() => onSearch({ ...search, after: undefined })}
                    >
                      Back to the newest
                    </Button>
                  )
                }
                older={
                  list.has_more && (
                    <Button
                      size="xs"
                      variant="default"
                      onClick={() => onSearch({ ...search, after: list.last_id ?? undefined })}
                    >
                      Older entries
                    </Button>
                  )
                }
              />
            </>
          )}
        </QueryView>
      </Section>
    </div>
  );
}

function TakeOut({ scope, search }: Omit<AuditLogProps, "onSearch">) {
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default">Take it out as a file</Button>
      </Menu.Target>
      <Menu.Dropdown>
        {scope === "installation" && !search.workspace && (
          <Menu.Label>Of the installation. For a workspace, choose it first.</Menu.Label>
        )}
        <Menu.Item component="a" href={auditFileUrl(scope, search, "csv")} download>
          For a spreadsheet (CSV)
        </Menu.Item>
        <Menu.Item component="a" href={auditFileUrl(scope, search, "jsonl")} download>
          For a program (JSON lines)
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
