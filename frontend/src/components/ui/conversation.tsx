import type { Message } from "@/api/types";
import classes from "./conversation.module.css";

const SPEAKERS: Record<Message["role"], string> = {
  system: "Instruction",
  user: "Question",
  assistant: "Answer",
  tool: "Found",
};

interface ConversationProps {
  messages: Message[];
  /** Colours what the model learns to say and leaves the rest grey. */
  showLearned?: boolean;
  /** What its answers are called, where they are more than answers. */
  answerLabel?: string;
}

export function Conversation({ messages, showLearned = false, answerLabel }: ConversationProps) {
  return (
    <dl className={classes.conversation} data-learned={showLearned || undefined}>
      {messages.map((message, index) => (
        <div key={index} className={classes.turn} data-role={message.role}>
          <dt>{message.role === "assistant" && answerLabel ? answerLabel : SPEAKERS[message.role]}</dt>
          <dd>
            <Said
              message={message}
              isLearned={showLearned && message.role === "assistant" && message.weight !== 0}
            />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Said({ message, isLearned }: { message: Message; isLearned: boolean }) {
  const calls = message.tool_calls ?? [];
  const words = message.content ?? "";
  const weight = message.weight ?? 1;
  if (words === "" && calls.length === 0) return <em>empty</em>;
  return (
    <>
      {words !== "" && (isLearned ? <mark>{words}</mark> : words)}
      {calls.map((call, index) => {
        const text = `${call.function.name}(${call.function.arguments})`;
        return (
          <span key={index} className={classes.call}>
            Looks up: <code>{isLearned ? <mark>{text}</mark> : text}</code>
          </span>
        );
      })}
      {weight === 0 && <small className={classes.aside}>not learned</small>}
      {weight > 0 && weight < 1 && <small className={classes.aside}>learned at {weight * 100}%</small>}
    </>
  );
}
