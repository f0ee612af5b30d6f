import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { THINGS } from "@/features/audit/components/wording";
import { auditWorkspacesQuery, type AuditScope, type AuditSearch } from "@/features/audit/queries";
import classes from "./audit.module.css";

const TYPING_MS = 300;

interface AuditFiltersProps {
  scope: AuditScope;
  search: AuditSearch;
  onChoose: (part: AuditSearch) => void;
}

export function AuditFilters({ scope, search, onChoose }: AuditFiltersProps) {
  const [typed, setTyped] = useState(search.q ?? "");
  const lookFor = useDebouncedCallback((q: string) => onChoose({ q: q.trim() || undefined }), TYPING_MS);
  return (
    <div className={classes.filterBlock}>
      <div className={classes.filters} data-scope={scope}>
        <TextInput
          type="search"
          label="Search"
          placeholder="Name, id or any word"
          maxLength={200}
          value={typed}
          onChange={(event) => {
            setTyped(event.currentTarget.value);
            lookFor(event.currentTarget.value);
          }}
        />
        <NativeSelect
          label="About"
          value={search.kind ?? ""}
          onChange={(event) => onChoose({ kind: event.currentTarget.value || undefined })}
          data={[
            { value: "", label: "Everything" },
            ...Object.entries(THINGS).map(([value, { many }]) => ({ value, label: many })),
          ]}
        />
        {scope === "installation" && <WorkspaceChoice search={search} onChoose={onChoose} />}
        <TextInput
          type="date"
          label="From"
          value={search.from ?? ""}
          max={search.to}
          onChange={(event) => onChoose({ from: event.currentTarget.value || undefined })}
        />
        <TextInput
          type="date"
          label="To"
          value={search.to ?? ""}
          min={search.from}
          onChange={(event) => onChoose({ to: event.currentTarget.value || undefined })}
        />
      </div>
      {(search.who ?? search.target) && (
        <p className={classes.narrowed}>
          {search.who && (
            <span>
              Only by <code>{search.who}</code>
              <Button size="compact-xs" variant="subtle" onClick={() => onChoose({ who: undefined })}>
                By anybody
              </Button>
            </span>
          )}
          {search.target && (
            <span>
              Only done to <code>{search.target}</code>
              <Button size="compact-xs" variant="subtle" onClick={() => onChoose({ target: undefined })}>
                To anything
              </Button>
            </span>
          )}
        </p>
      )}
    </div>
  );
}

function WorkspaceChoice({ search, onChoose }: Omit<AuditFiltersProps, "scope">) {
  const workspaces = useQuery(auditWorkspacesQuery);
  return (
    <NativeSelect
      label="Of"
      value={search.workspace ?? ""}
      onChange={(event) => onChoose({ workspace: event.currentTarget.value || undefined })}
      data={[
        { value: "", label: "All workspaces" },
        { value: "installation", label: "The installation" },
        ...(workspaces.data?.data ?? []).map(({ id, name }) => ({ value: id, label: name })),
      ]}
    />
  );
}
