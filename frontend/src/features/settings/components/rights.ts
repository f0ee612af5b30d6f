import type { Permission } from "@/api/types";

/** What a right lets one do, for whoever limits a key. The names on the wire are for engineers. */
export const RIGHTS: Record<Permission, string> = {
  "datasets:read": "See the data",
  "datasets:write": "Add and change data",
  "datasets:erase": "Remove a person's rows for good",
  "runs:read": "See what is being made",
  "runs:write": "Start and stop making models",
  "models:read": "See the models",
  "models:write": "Rename and delete models",
  "models:export": "Take models out as files",
  "chat:use": "Talk to models",
  "keys:manage": "Make API keys",
  "members:read": "See who is here",
  "members:manage": "Invite and remove people",
  "usage:read": "See what is spent",
  "audit:read": "Read the log of who did what",
  "webhooks:manage": "Change webhooks",
  "workspace:admin": "Change the workspace itself",
  "installation:admin": "Run the whole installation",
};
