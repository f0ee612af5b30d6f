import { NativeSelect, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { modelName, modelsQuery } from "@/features/models/queries";
import type { KeptFilter } from "@/features/playground/queries";
import classes from "./kept-filters.module.css";

const TYPING_MS = 300;
const SHOWN = [
  { value: "", label: "All answers" },
  { value: "stored", label: "Asked to be kept" },
  { value: "logged", label: "Request log" },
  { value: "failed", label: "Failed requests" },
  { value: "cancelled", label: "Requests that were given up" },
];

interface KeptFiltersProps {
  search: KeptFilter;
  onChoose: (part: KeptFilter) => void;
}

export function KeptFilters({ search, onChoose }: KeptFiltersProps) {
  const [typed, setTyped] = useState(search.q ?? "");
  const lookFor = useDebouncedCallback((q: string) => onChoose({ q: q.trim() || undefined }), TYPING_MS);
  return (
    <div className={classes.filters}>
      <TextInput
        type="search"
        label="Search"
        placeholder="Words that were said"
        maxLength={200}
        value={typed}
        onChange={(event) => {
          setTyped(event.currentTarget.value);
          lookFor(event.currentTarget.value);
        }}
      />
      <ModelFilter model={search.model} onChoose={(model) => onChoose({ model })} />
      <NativeSelect
        label="Show"
        value={search.outcome ?? search.origin ?? ""}
        onChange={(event) => onChoose(shown(event.currentTarget.value))}
        data={SHOWN}
      />
      <TextInput
        type="date"
        label="From"
        value={search.from ?? ""}
        onChange={(event) => onChoose({ from: event.currentTarget.value || undefined })}
      />
      <TextInput
        type="date"
        label="To"
        value={search.to ?? ""}
        onChange={(event) => onChoose({ to: event.currentTarget.value || undefined })}
      />
    </div>
  );
}

function shown(value: string): KeptFilter {
  if (value === "failed" || value === "cancelled") return { outcome: value, origin: undefined };
  return { outcome: undefined, origin: value === "stored" || value === "logged" ? value : undefined };
}

function ModelFilter({
  model,
  onChoose,
}: {
  model: string | undefined;
  onChoose: (model: string | undefined) => void;
}) {
  const known = useQuery(modelsQuery).data ?? [];
  const isGone = model !== undefined && !known.some((one) => one.id === model);
  return (
    <NativeSelect
      label="Model"
      value={model ?? ""}
      onChange={(event) => onChoose(event.currentTarget.value || undefined)}
      data={[
        { value: "", label: "All" },
        ...(isGone ? [{ value: model, label: modelName(model) }] : []),
        ...known.map((one) => ({ value: one.id, label: modelName(one) })),
      ]}
    />
  );
}
