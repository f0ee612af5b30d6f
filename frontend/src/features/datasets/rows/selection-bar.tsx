import { Button, Popover, TextInput } from "@mantine/core";
import { useState } from "react";
import type { RowChange } from "@/api/types";
import { count, plural } from "@/lib/format";
import classes from "./draft-bar.module.css";

export const MAX_CHOSEN = 10_000;

interface SelectionBarProps {
  numbers: number[];
  total: number | null;
  isBusy: boolean;
  onChange: (change: RowChange) => void;
  onChooseAll: () => void;
  onClear: () => void;
}

/** What can be done to all examples that are chosen, at once. */
export function SelectionBar({ numbers, total, isBusy, onChange, onChooseAll, onClear }: SelectionBarProps) {
  if (numbers.length === 0) return null;
  const canChooseMore = numbers.length < MAX_CHOSEN && (total === null || total > numbers.length);
  return (
    <div className={classes.bar} role="region" aria-label="Chosen examples">
      <p>
        {plural(numbers.length, "example")} chosen
        {canChooseMore && (
          <Button size="compact-sm" variant="subtle" disabled={isBusy} onClick={onChooseAll}>
            {chooseAllWords(total)}
          </Button>
        )}
      </p>
      <div className={classes.actions}>
        <Button
          variant="default"
          disabled={isBusy}
          onClick={() => onChange({ type: "exclude_rows", numbers })}
        >
          Leave out
        </Button>
        <Button
          variant="default"
          disabled={isBusy}
          onClick={() => onChange({ type: "include_rows", numbers })}
        >
          Take back in
        </Button>
        <TagButton isBusy={isBusy} onTag={(tag) => onChange({ type: "tag_rows", numbers, tag })} />
        <Button variant="subtle" onClick={onClear}>
          Choose none
        </Button>
      </div>
    </div>
  );
}

function chooseAllWords(total: number | null): string {
  if (total === null) return "Choose all that match";
  return total > MAX_CHOSEN ? `Choose the first ${count(MAX_CHOSEN)}` : `Choose all ${count(total)}`;
}

function TagButton({ isBusy, onTag }: { isBusy: boolean; onTag: (tag: string) => void }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <Popover opened={isOpen} onChange={setOpen} trapFocus returnFocus shadow="md">
      <Popover.Target>
        <Button variant="default" disabled={isBusy} onClick={() => setOpen(!isOpen)}>
          Tag
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <TagForm
          onTag={(tag) => {
            setOpen(false);
            onTag(tag);
          }}
        />
      </Popover.Dropdown>
    </Popover>
  );
}

const MAX_TAG_CHARS = 40;

export function TagForm({ onTag }: { onTag: (tag: string) => void }) {
  const [typed, setTyped] = useState("");
  const tag = typed.trim();
  return (
    <form
      className={classes.actions}
      onSubmit={(event) => {
        event.preventDefault();
        if (tag === "") return;
        onTag(tag);
        setTyped("");
      }}
    >
      <TextInput
        aria-label="Tag"
        placeholder="Add a tag"
        maxLength={MAX_TAG_CHARS}
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
      />
      <Button type="submit" variant="default" disabled={tag === ""}>
        Add
      </Button>
    </form>
  );
}
