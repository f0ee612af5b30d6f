import { queryOptions, useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { api, rememberCsrfToken, unwrap } from "@/api/client";
import type { Permission, Session, Setup, SignIn, SignInOptions } from "@/api/types";

export { problemSentence } from "@/features/session/problems";

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

/** What the sign-in page offers here. */
export const signInOptionsQuery = queryOptions({
  queryKey: ["sign-in-options"],
  queryFn: ({ signal }) => unwrap<SignInOptions>(api.GET("/v1/auth/options", { signal })),
});

export function useSession(): Session {
  return useSuspenseQuery(sessionQuery).data;
}

/** Whether this person may do something. The API decides; no role is ever read here. */
export function useCan(): (permission: Permission) => boolean {
  const { permissions } = useSession();
  return (permission) => permissions.includes(permission);
}

/** What opens a session: from then on, this browser is that person and nobody else. */
function useOpening<Input>(mutationFn: (input: Input) => Promise<Session>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    onSuccess: (session) => {
      rememberCsrfToken(session.csrf_token);
      client.clear();
      client.setQueryData(sessionQuery.queryKey, session);
    },
  });
}

export function useSignIn() {
  return useOpening((body: SignIn) => unwrap<Session>(api.POST("/v1/auth/sign_in", { body })));
}

export function useSetup() {
  return useOpening((body: Setup) => unwrap<Session>(api.POST("/v1/setup", { body })));
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

/** Leads away to the single sign-on, which leads back to `to`. */
export function useStartSingleSignOn() {
  return useMutation({
    mutationFn: (to: string) => unwrap<{ url: string }>(api.POST("/v1/auth/oidc/start", { body: { to } })),
    onSuccess: ({ url }) => window.location.assign(url),
  });
}

export function useAskForReset() {
  return useMutation({
    mutationFn: (email: string) => unwrap<unknown>(api.POST("/v1/auth/password_reset", { body: { email } })),
  });
}

export function useFinishReset() {
  return useMutation({
    mutationFn: (body: { token: string; password: string }) =>
      unwrap<{ email: string }>(api.POST("/v1/auth/password_reset/finish", { body })),
  });
}
