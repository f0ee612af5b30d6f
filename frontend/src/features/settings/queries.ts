import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { ApiKey, CreatedApiKey, ListOf, Member, Role } from "@/api/types";

const keys = { apiKeys: ["api-keys"] as const, members: ["members"] as const };

export const apiKeysQuery = queryOptions({
  queryKey: keys.apiKeys,
  queryFn: ({ signal }) => unwrap<ListOf<ApiKey>>(api.GET("/v1/api_keys", { signal })),
});

export const membersQuery = queryOptions({
  queryKey: keys.members,
  queryFn: ({ signal }) => unwrap<ListOf<Member>>(api.GET("/v1/members", { signal })),
});

export function useCreateKey() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { name: string }) => unwrap<CreatedApiKey>(api.POST("/v1/api_keys", { body })),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.apiKeys }),
  });
}

export function useRevokeKey() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<unknown>(api.DELETE("/v1/api_keys/{key_id}", { params: { path: { key_id: id } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.apiKeys }),
  });
}

function useMemberChange<Input>(mutationFn: (input: Input) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    onSuccess: () => client.invalidateQueries({ queryKey: keys.members }),
  });
}

export function useAddMember() {
  return useMemberChange((body: { email: string; name: string; role: Role; password: string }) =>
    unwrap<Member>(api.POST("/v1/members", { body })),
  );
}

export function useChangeRole() {
  return useMemberChange(({ id, role }: { id: string; role: Role }) =>
    unwrap<Member>(api.PATCH("/v1/members/{user_id}", { params: { path: { user_id: id } }, body: { role } })),
  );
}

export function useRemoveMember() {
  return useMemberChange((id: string) =>
    unwrap<unknown>(api.DELETE("/v1/members/{user_id}", { params: { path: { user_id: id } } })),
  );
}
