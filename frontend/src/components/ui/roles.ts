import type { Role } from "@/api/types";

interface RoleWords {
  value: Role;
  label: string;
  /** What it may beyond the role before it. */
  about: string;
  /** All that it may, to whoever gets it. */
  offer: string;
}

/** From the least to the most; each may do all that those before it may. In full: docs/access.md. */
export const ROLES: RoleWords[] = [
  {
    value: "viewer",
    label: "Viewer",
    about: "Sees the data, the models and what they cost. Changes nothing.",
    offer: "You will see the data, the models and what they cost.",
  },
  {
    value: "reviewer",
    label: "Reviewer",
    about: "Also talks to the models. Changes nothing.",
    offer: "You will see the data and the models, and can talk to them.",
  },
  {
    value: "member",
    label: "Member",
    about: "Also adds data, makes models and makes API keys.",
    offer: "You can add data, make models and use them.",
  },
  {
    value: "admin",
    label: "Admin",
    about: "Also invites and removes people, makes service accounts, and reads the log of who did what.",
    offer: "You can do everything here, and decide who else may come in.",
  },
];

export const ROLE_CHOICES = ROLES.map(({ value, label }) => ({ value, label }));

export function roleLabel(role: Role): string {
  return ROLES.find((known) => known.value === role)?.label ?? role;
}
