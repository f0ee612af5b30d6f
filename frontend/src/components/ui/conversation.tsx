import type { Message } from "@/api/types";
import classes from "./conversation.module.css";

const SPEAKERS: Record<Message["role"], string> = {
  system: "Instruction",
  user: "Question",
  assistant: "Answer",
};

interface ConversationProps {
  messages: Message[];
  /** Colours what the model learns to say and leaves the rest grey. */
  showLearned?: boolean;
}

export function Conversation({ messages, showLearned = false }: ConversationProps) {
  return (
    <dl className={classes.conversation} data-learned={showLearned || undefined}>
      {messages.map((message, index) => (
        <div key={index} className={classes.turn} data-role={message.role}>
          <dt>{SPEAKERS[message.role]}</dt>
          <dd>
            {message.content === "" ? (
              <em>empty</em>
            ) : showLearned && message.role === "assistant" ? (
              <mark>{message.content}</mark>
            ) : (
              message.content
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}
