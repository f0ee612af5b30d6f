/** What an action is done to, in the reader's words; the order is that of the filter. */
export const THINGS: Record<string, { one: string; many: string }> = {
  user: { one: "Person", many: "Signing in" },
  member: { one: "Member", many: "Members" },
  invitation: { one: "Invitation", many: "Invitations" },
  api_key: { one: "API key", many: "API keys" },
  service_account: { one: "Service account", many: "Service accounts" },
  workspace: { one: "Workspace", many: "Workspace" },
  file: { one: "File", many: "Files" },
  dataset: { one: "Examples", many: "Examples" },
  dataset_version: { one: "Version of examples", many: "Versions of examples" },
  dataset_draft: { one: "Draft of examples", many: "Drafts of examples" },
  column_mapping: { one: "Chosen columns", many: "Chosen columns" },
  erasure: { one: "Forgetting a person:", many: "Forgetting people" },
  scaling_study: { one: "Check whether examples are enough", many: "Checks whether examples are enough" },
  run: { one: "Training", many: "Training" },
  checkpoint: { one: "Saved state", many: "Saved states" },
  model: { one: "Model", many: "Models" },
  model_import: { one: "Model made elsewhere", many: "Models made elsewhere" },
  model_export: { one: "Model as files", many: "Models as files" },
  alias: { one: "Stable name", many: "Stable names" },
  request_log: { one: "Request log", many: "Request log" },
  completion: { one: "Kept answer", many: "Kept answers" },
  preference: { one: "Vote", many: "Votes" },
  webhook_endpoint: { one: "Webhook", many: "Webhooks" },
  webhook_delivery: { one: "Webhook call", many: "Webhook calls" },
  upload: { one: "Upload", many: "Uploads" },
  installation: { one: "Installation", many: "Installation" },
  audit: { one: "This log", many: "This log" },
  admin: { one: "By who runs this installation:", many: "By who runs this installation" },
};

/** Words that the split at underscores would get wrong. */
const DEEDS: Record<string, string> = {
  "user.signed_in": "Signed in",
  "user.signed_out": "Signed out",
  "user.password_changed": "Own password changed",
  "user.renamed": "Own name changed",
  "user.locked_out": "Locked out after wrong passwords",
  "user.password_reset": "Password reset by a link",
  "user.reset_asked": "Link to reset the password asked for",
  "user.reset_link_made": "Link to reset a password made",
  "user.session_revoked": "A browser signed out from elsewhere",
  "user.sessions_revoked": "All other browsers signed out",
  "user.identity_linked": "Account of elsewhere linked",
  "user.identity_unlinked": "Account of elsewhere unlinked",
  "user.recovery_codes_renewed": "Recovery codes renewed",
  "user.totp_enabled": "Codes of an app switched on",
  "user.totp_disabled": "Codes of an app switched off",
  "user.totp_reset": "Codes of an app taken off somebody",
  "member.joined_by_domain": "Member joined by their address",
  "dataset_version.finding_kept": "Personal data or secrets in examples kept",
  "dataset_version.findings_kept_on": "Personal data or secrets kept on in a new version of examples",
  "dataset_version.finding_no_longer_kept": "Keeping of personal data or secrets taken back",
  "checkpoint.permission.created": "Saved state shared",
  "checkpoint.permission.deleted": "Saved state no longer shared",
  "request_log.dataset_made": "Examples made of the request log",
  "preference.dataset_made": "Examples made of votes",
  "installation.set_up": "Installation set up",
  "audit.exported": "This log taken out as a file",
  "audit.viewed": "Logs of workspaces looked at",
  "workspace.entered_by_operator": "Workspace entered by who runs this installation",
};

/** "API key created", "Member role changed"; what is new says what it can. */
export function deed(action: string): string {
  const [thing = "", ...rest] = action.split(".");
  const done = rest.join(" ").replaceAll("_", " ");
  return DEEDS[action] ?? `${THINGS[thing]?.one ?? thing.replaceAll("_", " ")} ${done}`.trim();
}

/** A detail's name as one would say it. */
export function detailName(name: string): string {
  return name.replaceAll("_", " ");
}

/** A detail's value on one line. */
export function detailValue(value: unknown): string {
  if (value === null || value === undefined) return "none";
  if (typeof value === "string") return value || "empty";
  return JSON.stringify(value);
}
