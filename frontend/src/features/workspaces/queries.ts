import { queryOptions, useMutation, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { allPages } from "@/api/all-pages";
import { api, unwrap } from "@/api/client";
import type { AdminWorkspace, ListOf, Offer, Session, Storage, Workspace } from "@/api/types";
import { moveTo, sessionQuery } from "@/features/session/queries";

const keys = { all: ["workspaces"] as const, everyones: ["workspaces", "everyones"] as const };

/** All of the installation, for whoever runs it. */
export const everyWorkspaceQuery = queryOptions({
  queryKey: keys.everyones,
  queryFn: ({ signal }) =>
    allPages((query) =>
      unwrap<ListOf<AdminWorkspace>>(api.GET("/v1/admin/workspaces", { params: { query }, signal })),
    ),
});

async function refetchWorkspaces(client: QueryClient): Promise<void> {
  await Promise.all(
    [keys.all, sessionQuery.queryKey].map((queryKey) => client.invalidateQueries({ queryKey })),
  );
}

/** A change of a workspace shows in the switcher too, which the session fills. */
function useWorkspaceChange<In>(mutationFn: (input: In) => Promise<Workspace>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    onSuccess: () => refetchWorkspaces(client),
  });
}

export function useCreateWorkspace() {
  return useWorkspaceChange((name: string) =>
    unwrap<Workspace>(api.POST("/v1/workspaces", { body: { name, slug: null } })),
  );
}

export function useRenameWorkspace() {
  return useWorkspaceChange(({ id, name }: { id: string; name: string }) =>
    unwrap<Workspace>(
      api.PATCH("/v1/workspaces/{workspace_id}", { params: { path: { workspace_id: id } }, body: { name } }),
    ),
  );
}

/** What the files of a workspace may take; null for as much as all others. */
export function useChangeStorage() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, maxBytes }: { id: string; maxBytes: number | null }) =>
      unwrap<Storage>(
        api.PATCH("/v1/admin/workspaces/{workspace_id}/storage", {
          params: { path: { workspace_id: id } },
          body: { max_bytes: maxBytes },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.everyones }),
  });
}

/** Whoever archives must then leave it (`leaveWorkspace`). */
export function useArchiveWorkspace() {
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<Workspace>(
        api.POST("/v1/workspaces/{workspace_id}/archive", { params: { path: { workspace_id: id } } }),
      ),
  });
}

export async function restoreWorkspace(client: QueryClient, id: string): Promise<void> {
  await unwrap<Workspace>(
    api.POST("/v1/workspaces/{workspace_id}/restore", { params: { path: { workspace_id: id } } }),
  );
  await refetchWorkspaces(client);
}

export function offerQuery(token: string) {
  return queryOptions({
    queryKey: ["invitation", token] as const,
    queryFn: ({ signal }) => unwrap<Offer>(api.POST("/v1/invitations/lookup", { body: { token }, signal })),
    retry: false,
    staleTime: Infinity,
  });
}

export function useAccept() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { token: string; name: string; password: string }) =>
      unwrap<Session>(api.POST("/v1/invitations/accept", { body })),
    onSuccess: (session) => moveTo(client, session),
  });
}

export function useJoin() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (token: string) => unwrap<Session>(api.POST("/v1/invitations/join", { body: { token } })),
    onSuccess: (session) => moveTo(client, session),
  });
}
