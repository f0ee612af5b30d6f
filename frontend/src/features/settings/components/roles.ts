import type { Role } from "@/api/types";

/** From the least to the most; each may do all that those before it may. What it may in full: docs/access.md. */
export const ROLES: { value: Role; label: string; about: string }[] = [
  {
    value: "viewer",
    label: "Viewer",
    about: "Sees the data, the models and what they cost. Changes nothing.",
  },
  { value: "reviewer", label: "Reviewer", about: "Also talks to the models. Changes nothing." },
  { value: "member", label: "Member", about: "Also adds data, makes models and makes API keys." },
  {
    value: "admin",
    label: "Admin",
    about: "Also invites and removes people, makes service accounts, and reads the log of who did what.",
  },
];

export const ROLE_CHOICES = ROLES.map(({ value, label }) => ({ value, label }));

export function roleLabel(role: Role): string {
  return ROLES.find((known) => known.value === role)?.label ?? role;
}
