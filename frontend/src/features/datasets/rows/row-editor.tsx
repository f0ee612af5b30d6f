import { Button, Textarea } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { ApiError, messageOf } from "@/api/errors";
import type { Row, RowContent } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { RowView } from "@/features/datasets/components/row-view";
import {
  contentOf,
  messagesIn,
  roughTokens,
  whatIsMissing,
  withWords,
  wordsOf,
  type Part,
} from "@/features/datasets/rows/content";
import { rowQuery, type Draft } from "@/features/datasets/rows/row-queries";
import { count } from "@/lib/format";
import { useDraft as useTyped } from "@/lib/use-draft";
import classes from "./row-panel.module.css";

interface RowEditorProps {
  datasetId: string;
  versionId: string;
  row: Row;
  draft: Draft;
  onDone: () => void;
}

interface Typed {
  content: RowContent;
  /** What stood there when the person began. */
  seen: RowContent;
}

/** The words of an example, message by message. What is typed outlives a refresh and a closed tab. */
export function RowEditor({ datasetId, versionId, row, draft, onDone }: RowEditorProps) {
  const client = useQueryClient();
  const begun = () => ({ content: contentOf(row), seen: contentOf(row) });
  // another version may come meanwhile; what was typed is not lost with it
  const typed = useTyped<Typed>(`row:${datasetId}.${row.number}`, begun);
  const { content, seen } = typed.draft;
  const [isAskedToWrite, setAskedToWrite] = useState(false);
  const missing = whatIsMissing(content);
  const { mutate, isPending, error, reset } = draft.change;
  useEffect(() => reset(), [reset]);

  const end = () => {
    typed.discard();
    onDone();
  };
  const keep = (before: RowContent) => {
    setAskedToWrite(true);
    if (missing) return;
    const change = { type: "edit_row" as const, number: row.number, content: content as never };
    mutate(
      { change, seen: before },
      { onSuccess: end, onError: () => void client.invalidateQueries(rowQuery(versionId, row.number)) },
    );
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) keep(seen);
  };
  const isOvertaken = error instanceof ApiError && error.code === "row_changed";
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- a shortcut for its button
    <form
      className={classes.editor}
      onKeyDown={onKeyDown}
      onSubmit={(event) => {
        event.preventDefault();
        keep(seen);
      }}
    >
      <Fields content={content} onChange={(changed) => typed.change({ content: changed })} />
      <p className={classes.facts}>
        About {count(roughTokens(content, row))} tokens; counted exactly when it is saved.
      </p>
      {isAskedToWrite && missing && (
        <p role="alert" className={classes.problem}>
          {missing}
        </p>
      )}
      {error && !isOvertaken && (
        <Notice tone="bad" title="This was not kept">
          {messageOf(error)} What you wrote is still here.
        </Notice>
      )}
      {isOvertaken && (
        <Notice
          tone="warn"
          title={messageOf(error)}
          action={
            <div className={classes.actions}>
              <Button size="compact-sm" variant="default" onClick={() => keep(contentOf(row))}>
                Keep mine
              </Button>
              <Button size="compact-sm" variant="default" onClick={end}>
                Keep theirs
              </Button>
            </div>
          }
        >
          <RowView row={row} />
        </Notice>
      )}
      <div className={classes.actions}>
        <Button type="submit" loading={isPending}>
          Keep this change
        </Button>
        <Button variant="default" disabled={isPending} onClick={end}>
          Cancel
        </Button>
      </div>
    </form>
  );
}

const SPEAKERS: Record<string, string> = {
  system: "Instruction",
  user: "Question",
  assistant: "Answer",
  tool: "Found",
};
const ANSWERS: Partial<Record<Part, string>> = { chosen: "Preferred answer", rejected: "Other answer" };

function Fields({ content, onChange }: { content: RowContent; onChange: (content: RowContent) => void }) {
  const first = useRef<HTMLTextAreaElement>(null);
  useEffect(() => first.current?.focus({ preventScroll: true }), []);
  if (typeof content.text === "string") {
    return (
      <Textarea
        ref={first}
        label="Text"
        maxRows={20}
        value={content.text}
        onChange={(event) => onChange({ ...content, text: event.currentTarget.value })}
      />
    );
  }
  return messagesIn(content).map(({ part, index, message }, place) => (
    <div key={`${part}.${index}`}>
      <Textarea
        ref={place === 0 ? first : null}
        label={message.role === "assistant" ? (ANSWERS[part] ?? SPEAKERS.assistant) : SPEAKERS[message.role]}
        maxRows={14}
        value={message.content ?? ""}
        onChange={(event) => onChange(withWords(content, part, index, event.currentTarget.value))}
      />
      {(message.tool_calls ?? []).length > 0 && (
        <p className={classes.call}>
          Looks up: <code>{wordsOf({ ...message, content: null })}</code>
        </p>
      )}
    </div>
  ));
}
