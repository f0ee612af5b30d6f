import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { AdminWorkspace, AuditChain, AuditEvent, ListOf } from "@/api/types";
import { filled } from "@/lib/filled";

const PAGE_SIZE = 50;
const DAY_S = 86_400;

/** What the address of a log says: what is looked for, and after which entry the page begins. */
export interface AuditSearch {
  q?: string | undefined;
  kind?: string | undefined;
  who?: string | undefined;
  target?: string | undefined;
  /** Days such as `2026-11-28`, both included, in the reader's own time zone. */
  from?: string | undefined;
  to?: string | undefined;
  after?: string | undefined;
  workspace?: string | undefined;
}

/** Whose log: that of the reader's workspace, or those of everyone. */
export type AuditScope = "workspace" | "installation";

const PATHS = {
  workspace: "/v1/audit_events",
  installation: "/v1/admin/audit_events",
} as const;

const keys = {
  events: (scope: AuditScope, search: AuditSearch) => ["audit", scope, "events", search] as const,
  chain: (scope: AuditScope, workspace?: string) => ["audit", scope, "chain", workspace] as const,
};

function startOfDay(day: string): number | undefined {
  const at = new Date(`${day}T00:00`).getTime();
  return Number.isNaN(at) ? undefined : Math.floor(at / 1000);
}

/** The part of an address that the API understands; also of the file that is taken out. */
function auditParams(scope: AuditScope, search: AuditSearch) {
  const until = search.to ? startOfDay(search.to) : undefined;
  return filled({
    q: search.q,
    action: search.kind ? `${search.kind}.*` : undefined,
    actor: search.who,
    target: search.target,
    since: search.from ? startOfDay(search.from) : undefined,
    until: until === undefined ? undefined : until + DAY_S,
    workspace_id: scope === "installation" ? search.workspace : undefined,
  });
}

export function auditEventsQuery(scope: AuditScope, search: AuditSearch) {
  return queryOptions({
    queryKey: keys.events(scope, search),
    queryFn: ({ signal }) => {
      const query = { ...auditParams(scope, search), ...filled({ after: search.after }), limit: PAGE_SIZE };
      return unwrap<ListOf<AuditEvent>>(api.GET(PATHS[scope], { params: { query }, signal }));
    },
    placeholderData: keepPreviousData,
  });
}

export function auditChainQuery(scope: AuditScope, workspace?: string) {
  return queryOptions({
    queryKey: keys.chain(scope, workspace),
    queryFn: ({ signal }) =>
      scope === "workspace"
        ? unwrap<AuditChain>(api.GET("/v1/audit_events/chain", { signal }))
        : unwrap<AuditChain>(
            api.GET("/v1/admin/audit_events/chain", {
              params: { query: workspace ? { workspace_id: workspace } : {} },
              signal,
            }),
          ),
  });
}

export const auditWorkspacesQuery = queryOptions({
  queryKey: ["audit", "workspaces"] as const,
  queryFn: ({ signal }) =>
    unwrap<ListOf<AdminWorkspace>>(
      api.GET("/v1/admin/workspaces", { params: { query: { limit: 100 } }, signal }),
    ),
});

/** Where the browser fetches the log as a file; a plain address, so that it streams to disk. */
export function auditFileUrl(scope: AuditScope, search: AuditSearch, format: "csv" | "jsonl"): string {
  const params = new URLSearchParams({ format });
  for (const [name, value] of Object.entries(auditParams(scope, search))) {
    params.set(name, String(value));
  }
  return `${PATHS[scope]}/export?${params}`;
}
