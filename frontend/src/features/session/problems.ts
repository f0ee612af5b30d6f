const SENTENCES: Record<string, string> = {
  oidc_state_mismatch:
    "This is not the sign-in that this browser began. Start again here, in one tab, and let cookies through.",
  oidc_flow_ended: "That sign-in was finished before, or took longer than ten minutes. Start again.",
  oidc_declined: "You did not let us in there, or its rules did not. Start again if that was a mistake.",
  oidc_refused:
    "It did not prove who you are. Start again; if it happens twice, tell who runs this installation.",
  oidc_unavailable: "It does not answer as it should. Try again in a moment, or sign in with your password.",
  oidc_not_linked:
    "There is an account with your address already, and it is not linked yet. Sign in with its password, then link it under Settings, Profile.",
  oidc_not_invited: "Nobody has invited you yet. Ask an admin of your workspace for an invitation.",
  oidc_email_unverified:
    "It knows no verified e-mail address of yours. Have your address verified there first.",
  no_workspace: "You belong to no workspace any more. Ask an admin to add you.",
  identity_taken: "It signs in somebody else here. Unlink it there first, or use another one.",
  session_ended: "Your session ended on the way. Sign in again, then link it once more.",
};

/** Why a single sign-on led back to a page of ours, by the code in its address. */
export function problemSentence(code: string): string {
  return SENTENCES[code] ?? "Something went wrong on the way. Start again.";
}
