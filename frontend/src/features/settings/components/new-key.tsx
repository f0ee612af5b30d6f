import { Button, Checkbox, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { CreatedApiKey, Permission, Role } from "@/api/types";
import { useCan, useSession } from "@/features/session/queries";
import { RIGHTS } from "@/features/settings/components/rights";
import { ROLE_CHOICES } from "@/components/ui/roles";
import { accountsQuery, useCreateKey } from "@/features/settings/queries";
import classes from "./panel.module.css";

const DAY_S = 86_400;
const LIFETIMES = [
  { value: "", label: "Never" },
  { value: "7", label: "In a week" },
  { value: "30", label: "In 30 days" },
  { value: "90", label: "In 90 days" },
  { value: "365", label: "In a year" },
];

interface Draft {
  name: string;
  days: string;
  accountId: string;
  role: Role;
  isLimited: boolean;
  scopes: Permission[];
}

/** A name is enough. Whom it acts for, when it ends and what it may do are there for those who ask. */
export function NewKey({ onMade }: { onMade: (made: CreatedApiKey) => void }) {
  const session = useSession();
  const can = useCan();
  const create = useCreateKey();
  const [draft, setDraft] = useState<Draft>({
    name: "",
    days: "",
    accountId: "",
    role: session.role,
    isLimited: false,
    scopes: [],
  });
  const set = (part: Partial<Draft>) => setDraft({ ...draft, ...part });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const { name, days, accountId, role, isLimited, scopes } = draft;
    create.mutate(
      {
        name: name.trim(),
        // an account has a role of its own, which is then the key's too
        role: accountId ? null : role,
        scopes: isLimited ? scopes : null,
        expires_at: days ? Math.floor(Date.now() / 1000) + Number(days) * DAY_S : null,
        service_account_id: accountId || null,
      },
      { onSuccess: onMade },
    );
  };
  return (
    <form className={classes.stack} onSubmit={submit}>
      <div className={classes.row}>
        <TextInput
          w={300}
          maw="100%"
          label="Name of the new key"
          placeholder="Where will it be used?"
          value={draft.name}
          onChange={(event) => set({ name: event.currentTarget.value })}
          error={create.error && messageOf(create.error)}
          maxLength={100}
          required
        />
        <NativeSelect
          label="Expires"
          data={LIFETIMES}
          value={draft.days}
          onChange={(event) => set({ days: event.currentTarget.value })}
        />
        {can("members:manage") && (
          <ActsFor value={draft.accountId} onChange={(accountId) => set({ accountId })} />
        )}
        <Button type="submit" loading={create.isPending} disabled={draft.isLimited && !draft.scopes.length}>
          Make a key
        </Button>
      </div>
      <Limits draft={draft} onChange={set} />
    </form>
  );
}

function ActsFor({ value, onChange }: { value: string; onChange: (id: string) => void }) {
  const accounts = useQuery(accountsQuery);
  if (!accounts.data?.length) return null;
  return (
    <NativeSelect
      label="Acts for"
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      data={[
        { value: "", label: "You" },
        ...accounts.data.map((account) => ({ value: account.id, label: account.name })),
      ]}
    />
  );
}

interface LimitsProps {
  draft: Draft;
  onChange: (part: Partial<Draft>) => void;
}

function Limits({ draft, onChange }: LimitsProps) {
  const { role, permissions } = useSession();
  const lesser = ROLE_CHOICES.slice(0, ROLE_CHOICES.findIndex((known) => known.value === role) + 1);
  return (
    <details className={classes.more}>
      <summary>Limit what it may do</summary>
      <div className={classes.limits}>
        {!draft.accountId && (
          <NativeSelect
            w={160}
            label="Role"
            description="At most yours."
            data={lesser}
            value={draft.role}
            onChange={(event) => onChange({ role: event.currentTarget.value as Role })}
          />
        )}
        <Checkbox
          label="Only some of what the role may"
          checked={draft.isLimited}
          onChange={(event) => onChange({ isLimited: event.currentTarget.checked })}
        />
        {draft.isLimited && (
          <Checkbox.Group
            label="It may"
            description="What the role may not stays refused, whatever is ticked."
            value={draft.scopes}
            onChange={(scopes) => onChange({ scopes: scopes as Permission[] })}
          >
            <div className={classes.rights}>
              {permissions.map((right) => (
                <Checkbox key={right} value={right} label={RIGHTS[right]} />
              ))}
            </div>
          </Checkbox.Group>
        )}
      </div>
    </details>
  );
}
