import { queryOptions, useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { api, rememberCsrfToken, unwrap } from "@/api/client";
import type { Permission, Session } from "@/api/types";

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }) => {
    const session = await unwrap<Session>(api.GET("/v1/auth/session", { signal }));
    rememberCsrfToken(session.csrf_token);
    return session;
  },
  staleTime: 5 * 60_000,
  retry: false,
});

export function useSession(): Session {
  return useSuspenseQuery(sessionQuery).data;
}

/** Whether this person may do something. The API decides; no role is ever read here. */
export function useCan(): (permission: Permission) => boolean {
  const { permissions } = useSession();
  return (permission) => permissions.includes(permission);
}

export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: { email: string; password: string }) =>
      unwrap<Session>(api.POST("/v1/auth/sign_in", { body })),
    onSuccess: (session) => {
      rememberCsrfToken(session.csrf_token);
      client.clear();
      client.setQueryData(sessionQuery.queryKey, session);
    },
  });
}

export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => unwrap<unknown>(api.POST("/v1/auth/sign_out")),
    onSuccess: () => {
      rememberCsrfToken(null);
      client.clear();
    },
  });
}

export function useChangePassword() {
  return useMutation({
    mutationFn: (body: { current_password: string; new_password: string }) =>
      unwrap<unknown>(api.POST("/v1/auth/password", { body })),
  });
}
