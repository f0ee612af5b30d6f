import {
  queryOptions,
  useMutation,
  useQueryClient,
  useSuspenseQuery,
  type Query,
  type QueryClient,
} from "@tanstack/react-query";
import { api, rememberCsrfToken, rememberWorkspace, unwrap } from "@/api/client";
import type { Permission, Session, Setup, SignIn, SignInOptions } from "@/api/types";

export { problemSentence } from "@/features/session/problems";

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }) => {
    const session = await unwrap<Session>(api.GET("/v1/auth/session", { signal }));
    remember(session);
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

function remember(session: Session): void {
  rememberCsrfToken(session.csrf_token);
  rememberWorkspace(session.workspace.id);
}

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
      remember(session);
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

/** Forgets all that was fetched from where one was. The frame is drawn anew with the new session's workspace. */
export function moveTo(client: QueryClient, session: Session): void {
  remember(session);
  forgetWorkspace(client);
  client.setQueryData(sessionQuery.queryKey, session);
}

function forgetWorkspace(client: QueryClient): void {
  const isOfWorkspace = (query: Query) => query.queryKey[0] !== sessionQuery.queryKey[0];
  void client.cancelQueries({ predicate: isOfWorkspace });
  client.removeQueries({ predicate: isOfWorkspace });
}

/** The workspace that is shown is closed to this person: what the server says instead is shown from now on. */
export function leaveWorkspace(client: QueryClient): Promise<void> {
  rememberWorkspace(null);
  forgetWorkspace(client);
  return client.invalidateQueries({ queryKey: sessionQuery.queryKey });
}

export function useSwitchWorkspace() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<Session>(api.POST("/v1/auth/session/workspace", { body: { workspace_id: id } })),
    onSuccess: (session) => moveTo(client, session),
  });
}

export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => unwrap<unknown>(api.POST("/v1/auth/sign_out")),
    onSuccess: () => {
      rememberCsrfToken(null);
      rememberWorkspace(null);
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
