import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { allPages } from "@/api/all-pages";
import { api, unwrap } from "@/api/client";
import type {
  ApiKey,
  CreatedApiKey,
  Invitation,
  ListOf,
  Member,
  NewApiKey,
  Role,
  SentInvitation,
  ServiceAccount,
} from "@/api/types";

const keys = {
  apiKeys: ["api-keys"] as const,
  members: ["members"] as const,
  invitations: ["invitations"] as const,
  accounts: ["service-accounts"] as const,
};

export const apiKeysQuery = queryOptions({
  queryKey: keys.apiKeys,
  queryFn: ({ signal }) =>
    allPages((query) => unwrap<ListOf<ApiKey>>(api.GET("/v1/api_keys", { params: { query }, signal }))),
});

export const membersQuery = queryOptions({
  queryKey: keys.members,
  queryFn: ({ signal }) =>
    allPages((query) => unwrap<ListOf<Member>>(api.GET("/v1/members", { params: { query }, signal }))),
});

export const invitationsQuery = queryOptions({
  queryKey: keys.invitations,
  queryFn: ({ signal }) =>
    allPages((query) =>
      unwrap<ListOf<Invitation>>(api.GET("/v1/invitations", { params: { query }, signal })),
    ),
});

export const accountsQuery = queryOptions({
  queryKey: keys.accounts,
  queryFn: ({ signal }) =>
    allPages((query) =>
      unwrap<ListOf<ServiceAccount>>(api.GET("/v1/service_accounts", { params: { query }, signal })),
    ),
});

/** A change that shows in some lists: they are fetched again. */
function useChange<In, Out>(lists: (readonly string[])[], mutationFn: (input: In) => Promise<Out>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    onSuccess: () => Promise.all(lists.map((queryKey) => client.invalidateQueries({ queryKey }))),
  });
}

export function useCreateKey() {
  // what has a default may be left out; the generated types ask for it
  return useChange([keys.apiKeys], (key: NewApiKey) =>
    unwrap<CreatedApiKey>(
      api.POST("/v1/api_keys", {
        body: { role: null, scopes: null, expires_at: null, service_account_id: null, ...key },
      }),
    ),
  );
}

export function useRenameKey() {
  return useChange([keys.apiKeys], ({ id, name }: { id: string; name: string }) =>
    unwrap<ApiKey>(api.PATCH("/v1/api_keys/{key_id}", { params: { path: { key_id: id } }, body: { name } })),
  );
}

export function useRotateKey() {
  return useChange([keys.apiKeys], ({ id, overlapS }: { id: string; overlapS: number }) =>
    unwrap<CreatedApiKey>(
      api.POST("/v1/api_keys/{key_id}/rotate", {
        params: { path: { key_id: id } },
        body: { overlap_s: overlapS },
      }),
    ),
  );
}

export function useRevokeKey() {
  return useChange([keys.apiKeys], (id: string) =>
    unwrap<unknown>(api.DELETE("/v1/api_keys/{key_id}", { params: { path: { key_id: id } } })),
  );
}

export function useChangeRole() {
  return useChange([keys.members], ({ id, role }: { id: string; role: Role }) =>
    unwrap<Member>(api.PATCH("/v1/members/{user_id}", { params: { path: { user_id: id } }, body: { role } })),
  );
}

export function useRemoveMember() {
  return useChange([keys.members, keys.apiKeys], (id: string) =>
    unwrap<unknown>(api.DELETE("/v1/members/{user_id}", { params: { path: { user_id: id } } })),
  );
}

export function useInvite() {
  return useChange([keys.invitations], (body: { email: string; role: Role }) =>
    unwrap<SentInvitation>(api.POST("/v1/invitations", { body })),
  );
}

export function useResendInvitation() {
  return useChange([keys.invitations], (id: string) =>
    unwrap<SentInvitation>(
      api.POST("/v1/invitations/{invitation_id}/resend", { params: { path: { invitation_id: id } } }),
    ),
  );
}

export function useRevokeInvitation() {
  return useChange([keys.invitations], (id: string) =>
    unwrap<unknown>(
      api.DELETE("/v1/invitations/{invitation_id}", { params: { path: { invitation_id: id } } }),
    ),
  );
}

export function useCreateAccount() {
  return useChange([keys.accounts], (body: { name: string; role: Role }) =>
    unwrap<ServiceAccount>(api.POST("/v1/service_accounts", { body })),
  );
}

export function useChangeAccountRole() {
  return useChange([keys.accounts], ({ id, role }: { id: string; role: Role }) =>
    unwrap<ServiceAccount>(
      api.PATCH("/v1/service_accounts/{account_id}", {
        params: { path: { account_id: id } },
        body: { role },
      }),
    ),
  );
}

export function useDeleteAccount() {
  return useChange([keys.accounts, keys.apiKeys], (id: string) =>
    unwrap<unknown>(
      api.DELETE("/v1/service_accounts/{account_id}", { params: { path: { account_id: id } } }),
    ),
  );
}
