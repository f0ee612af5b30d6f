import type { Message, Row, RowContent } from "@/api/types";

const PREVIEW_CHARS = 400;
const BEFORE_A_HIT = 40;
/** Of most texts in languages with an alphabet. */
const CHARS_A_TOKEN = 4;

/** What a line of the table says of an example: what is asked, and what is answered; a text has one part. */
export function partsOf(row: RowContent): [string, string | null] {
  if (typeof row.text === "string") return [row.text, null];
  const asked = saidBy(row.messages, "user") ?? row.messages[0];
  const answer =
    row.chosen?.[0] ?? [...row.messages].reverse().find((message) => message.role === "assistant");
  return [wordsOf(asked), wordsOf(answer)];
}

function saidBy(messages: Message[], role: Message["role"]): Message | undefined {
  return messages.find((message) => message.role === role);
}

export function wordsOf(message: Message | undefined): string {
  if (!message) return "";
  const calls = (message.tool_calls ?? []).map((call) => `${call.function.name}(${call.function.arguments})`);
  return [message.content ?? "", ...calls].filter(Boolean).join(" ");
}

/** The beginning, or what stands around the words that were looked for. */
export function excerpt(text: string, q: string | undefined): string {
  const line = text.slice(0, 20_000).replace(/\s+/g, " ").trim();
  const at = q ? line.toLowerCase().indexOf(q.toLowerCase()) : -1;
  if (at <= BEFORE_A_HIT) return line.slice(0, PREVIEW_CHARS);
  return `…${line.slice(at - BEFORE_A_HIT, at - BEFORE_A_HIT + PREVIEW_CHARS)}`;
}

export function contentOf(row: Row): RowContent {
  if (typeof row.text === "string") return { messages: [], text: row.text };
  return {
    messages: row.messages,
    ...(row.tools ? { tools: row.tools } : {}),
    ...(row.chosen ? { chosen: row.chosen } : {}),
    ...(row.rejected ? { rejected: row.rejected } : {}),
  };
}

export type Part = "messages" | "chosen" | "rejected";
const PARTS: Part[] = ["messages", "chosen", "rejected"];

/** Every message of an example with its place. */
export function messagesIn(content: RowContent): { part: Part; index: number; message: Message }[] {
  return PARTS.flatMap((part) => (content[part] ?? []).map((message, index) => ({ part, index, message })));
}

export function withWords(content: RowContent, part: Part, index: number, words: string): RowContent {
  const messages = (content[part] ?? []).map((message, place) =>
    place === index ? { ...message, content: words } : message,
  );
  return { ...content, [part]: messages };
}

/** What is missing before it can be kept; null if nothing is. The server looks more closely. */
export function whatIsMissing(content: RowContent): string | null {
  if (typeof content.text === "string") return content.text.trim() ? null : "Write a text.";
  const empty = messagesIn(content).find(
    ({ message }) => !(message.content ?? "").trim() && (message.tool_calls ?? []).length === 0,
  );
  if (!empty) return null;
  return empty.message.role === "user" ? "Write a question." : "Write what is to be said.";
}

function numChars(content: RowContent): number {
  const said = messagesIn(content).reduce((sum, { message }) => sum + wordsOf(message).length, 0);
  return said + (content.text ?? "").length;
}

/** About how many tokens it has, by how many the row had before it was changed; the exact number comes with saving. */
export function roughTokens(content: RowContent, row: Row): number {
  const ratio = row.num_tokens > 0 ? numChars(contentOf(row)) / row.num_tokens : CHARS_A_TOKEN;
  return Math.max(1, Math.round(numChars(content) / Math.max(ratio, 0.25)));
}
