import { Textarea } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useState } from "react";
import type { FilePreviewBody } from "@/api/types";
import { Section } from "@/components/ui/page";
import { ColumnRoles } from "@/features/datasets/components/column-roles";
import {
  inWay,
  WAY_NAMES,
  WAYS,
  type Choice,
  type Column,
  type Draft,
} from "@/features/datasets/components/mapping";
import { SpeakerSides } from "@/features/datasets/components/speaker-sides";
import classes from "./mapping-editor.module.css";

interface MappingEditorProps extends Choice {
  columns: Column[];
  speakers: FilePreviewBody["speakers"];
  lead: string;
  onChange: (choice: Choice) => void;
}

const MAX_INSTRUCTIONS_CHARS = 10_000;
const TYPING_MS = 400;

/** What a row is, which column is which, and who is who: everything a mapping can say. */
export function MappingEditor({ columns, speakers, way, draft, lead, onChange }: MappingEditorProps) {
  const change = (changed: Draft) => onChange({ draft: changed, way });
  return (
    <>
      <Section title="What one row is">
        <div className={classes.ways} role="radiogroup" aria-label="What one row is">
          {WAY_NAMES.map((name) => (
            <label key={name} className={classes.way}>
              <input
                type="radio"
                name="way"
                checked={way === name}
                onChange={() => onChange({ way: name, draft: inWay(draft, name, columns) })}
              />
              <span>
                {WAYS[name].label}
                <small>{WAYS[name].hint}</small>
              </span>
            </label>
          ))}
        </div>
      </Section>
      <Section title="Which column is which" lead={lead}>
        <ColumnRoles columns={columns} way={way} draft={draft} onChange={change} />
        {way !== "text" && !draft.system && (
          <Instructions
            text={draft.system_text ?? ""}
            onSettled={(text) => change({ ...draft, system_text: text })}
          />
        )}
      </Section>
      {way === "thread" && draft.speaker && speakers.length > 0 && (
        <Section
          title="Who is on your side"
          lead="The model will learn to say what they say. Whoever asks is left as it is."
        >
          <SpeakerSides speakers={speakers} draft={draft} onChange={change} />
        </Section>
      )}
    </>
  );
}

function Instructions({ text, onSettled }: { text: string; onSettled: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const settle = useDebouncedCallback(onSettled, { delay: TYPING_MS, flushOnUnmount: true });
  return (
    <Textarea
      maw="var(--measure)"
      label="Instructions before every example (optional)"
      placeholder="You answer for the front desk. Be brief and kind."
      autosize
      maxRows={6}
      maxLength={MAX_INSTRUCTIONS_CHARS}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        settle(event.currentTarget.value);
      }}
    />
  );
}
