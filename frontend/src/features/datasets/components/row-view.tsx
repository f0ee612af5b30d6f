import { Button } from "@mantine/core";
import { useState } from "react";
import type { RowContent } from "@/api/types";
import { Conversation } from "@/components/ui/conversation";
import classes from "./row-view.module.css";

interface RowViewProps {
  row: RowContent;
  /** Colours what the model learns to say and leaves the rest grey. */
  showLearned?: boolean;
}

/** One row of any kind: a conversation, a question with two answers, or a text. */
export function RowView({ row, showLearned = false }: RowViewProps) {
  if (typeof row.text === "string") return <PlainText text={row.text} isLearned={showLearned} />;
  if (!row.chosen || !row.rejected) return <Conversation messages={row.messages} showLearned={showLearned} />;
  return (
    <div className={classes.preference}>
      <Conversation messages={row.messages} />
      <Conversation messages={row.chosen} showLearned={showLearned} answerLabel="Preferred" />
      <div className={classes.rejected}>
        <Conversation messages={row.rejected} answerLabel="Not preferred" />
      </div>
    </div>
  );
}

const SHOWN_CHARS = 600;

function PlainText({ text, isLearned }: { text: string; isLearned: boolean }) {
  const [isWhole, setWhole] = useState(text.length <= SHOWN_CHARS);
  if (text === "") return <em>empty</em>;
  const shown = isWhole ? text : `${text.slice(0, SHOWN_CHARS).trimEnd()}…`;
  return (
    <div className={classes.text}>
      <p>{isLearned ? <mark>{shown}</mark> : shown}</p>
      {!isWhole && (
        <Button size="compact-xs" variant="subtle" onClick={() => setWhole(true)}>
          Show all of it
        </Button>
      )}
    </div>
  );
}
