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
  run: { one: "Training", many: "Training" },
  checkpoint: { one: "Saved state", many: "Saved states" },
  model: { one: "Model", many: "Models" },
  completion: { one: "Kept answer", many: "Kept answers" },
  webhook_endpoint: { one: "Webhook", many: "Webhooks" },
  webhook_delivery: { one: "Webhook call", many: "Webhook calls" },
  upload: { one: "Upload", many: "Uploads" },
  audit: { one: "This log", many: "This log" },
  admin: { one: "By who runs this installation:", many: "By who runs this installation" },
};

/** Words that the split at underscores would get wrong. */
const DEEDS: Record<string, string> = {
  "user.signed_in": "Signed in",
  "user.signed_out": "Signed out",
  "user.password_changed": "Own password changed",
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
