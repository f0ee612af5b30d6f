import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, rememberCsrfToken, unwrap } from "@/api/client";
import type { BrowserSession, ListOf, Profile, RecoveryCodes, ResetLink, TotpEnrolment } from "@/api/types";
import { sessionQuery } from "@/features/session/queries";

const keys = { profile: ["profile"] as const, sessions: ["browser-sessions"] as const };

/** How this person signs in. */
export const profileQuery = queryOptions({
  queryKey: keys.profile,
  queryFn: ({ signal }) => unwrap<Profile>(api.GET("/v1/profile", { signal })),
});

/** Where this person is signed in. */
export const browserSessionsQuery = queryOptions({
  queryKey: keys.sessions,
  queryFn: ({ signal }) => unwrap<ListOf<BrowserSession>>(api.GET("/v1/profile/sessions", { signal })),
});

function useAccountChange<Input, Output>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    onSuccess: async (changed) => {
      // a change of how one signs in renews the session, and with it what proves that a write is ours
      const token = (changed as { csrf_token?: string }).csrf_token;
      if (token) rememberCsrfToken(token);
      await Promise.all([
        client.invalidateQueries({ queryKey: keys.profile }),
        client.invalidateQueries({ queryKey: keys.sessions }),
        client.invalidateQueries({ queryKey: sessionQuery.queryKey }),
      ]);
    },
  });
}

export function useRename() {
  return useAccountChange((name: string) => unwrap<Profile>(api.PATCH("/v1/profile", { body: { name } })));
}

export function useChangePassword() {
  return useAccountChange((body: { current_password: string; new_password: string }) =>
    unwrap<{ csrf_token: string }>(api.POST("/v1/auth/password", { body })),
  );
}

export function useBeginTotp() {
  return useMutation({
    mutationFn: (password: string) =>
      unwrap<TotpEnrolment>(api.POST("/v1/profile/totp", { body: { password } })),
  });
}

export function useConfirmTotp() {
  return useAccountChange((code: string) =>
    unwrap<RecoveryCodes>(api.POST("/v1/profile/totp/confirm", { body: { code } })),
  );
}

export function useNewRecoveryCodes() {
  return useAccountChange((password: string) =>
    unwrap<RecoveryCodes>(api.POST("/v1/profile/totp/recovery_codes", { body: { password } })),
  );
}

export function useTurnTotpOff() {
  return useAccountChange((password: string) =>
    unwrap<object>(api.POST("/v1/profile/totp/turn_off", { body: { password } })),
  );
}

/** For an admin to hand to a member who cannot sign in. */
export function useMakeResetLink() {
  return useMutation({
    mutationFn: (userId: string) =>
      unwrap<ResetLink>(
        api.POST("/v1/members/{user_id}/password_reset", { params: { path: { user_id: userId } } }),
      ),
  });
}

export function useTurnOffTotpOf() {
  return useMutation({
    mutationFn: (userId: string) =>
      unwrap<object>(api.DELETE("/v1/admin/users/{user_id}/totp", { params: { path: { user_id: userId } } })),
  });
}

/** Leads away to the single sign-on, which leads back to the settings. */
export function useLinkIdentity() {
  return useMutation({
    mutationFn: (password: string | null) =>
      unwrap<{ url: string }>(api.POST("/v1/profile/identities", { body: { password } })),
    onSuccess: ({ url }) => window.location.assign(url),
  });
}

export function useUnlinkIdentity() {
  return useAccountChange((id: string) =>
    unwrap<object>(
      api.DELETE("/v1/profile/identities/{identity_id}", { params: { path: { identity_id: id } } }),
    ),
  );
}

export function useRevokeSession() {
  return useAccountChange((id: string) =>
    unwrap<object>(api.DELETE("/v1/profile/sessions/{session_id}", { params: { path: { session_id: id } } })),
  );
}

export function useRevokeOtherSessions() {
  return useAccountChange(() => unwrap<{ num_deleted: number }>(api.DELETE("/v1/profile/sessions")));
}
