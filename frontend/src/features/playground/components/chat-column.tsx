import { NativeSelect } from "@mantine/core";
import type { Model } from "@/api/types";
import type { Chat } from "@/features/playground/components/use-chat";
import { modelName } from "@/features/models/queries";
import classes from "./chat-column.module.css";

interface ChatColumnProps {
  side: string;
  models: Model[];
  model: string;
  onModel: (model: string) => void;
  chat: Chat;
}

function label(model: Model): string {
  return model.kind === "base" ? `${modelName(model)} (base)` : modelName(model);
}

export function ChatColumn({ side, models, model, onModel, chat }: ChatColumnProps) {
  const known = models.some((item) => item.id === model);
  return (
    <section className={classes.column} aria-label={`${side} model`}>
      <NativeSelect
        aria-label={`${side} model`}
        value={model}
        onChange={(event) => onModel(event.currentTarget.value)}
        data={[
          ...(known ? [] : [{ value: model, label: model || "Choose a model" }]),
          ...models.map((item) => ({ value: item.id, label: label(item) })),
        ]}
      />
      <ol className={classes.turns} aria-live="polite" aria-busy={chat.isAnswering}>
        {chat.turns.map((turn, index) => (
          <li key={index} data-role={turn.role}>
            <span className="visually-hidden">{turn.role === "user" ? "You: " : "The model: "}</span>
            {turn.content}
            {turn.role === "assistant" && chat.isAnswering && index === chat.turns.length - 1 && (
              <span className={classes.caret} aria-hidden="true" />
            )}
            {turn.wasStopped && <small>You stopped it here.</small>}
            {turn.error && <small className={classes.error}>{turn.error}</small>}
          </li>
        ))}
      </ol>
    </section>
  );
}
