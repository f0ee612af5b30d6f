import type { RowKind } from "@/api/types";

interface KindWords {
  /** In a table and under a title. */
  label: string;
  /** What the rows are, where there is room for it. */
  sentence: string;
  /** What training makes of them. */
  learned: string;
}

export const ROW_KINDS: Record<RowKind, KindWords> = {
  chat: {
    label: "Questions and answers",
    sentence: "Every example is a conversation with the answer you wish for.",
    learned: "It learns to give your answers.",
  },
  preference: {
    label: "Preferences",
    sentence: "Every example is a question with two answers, of which one is better.",
    learned: "It learns which of two answers you prefer, and answers more like it.",
  },
  text: {
    label: "Plain text",
    sentence: "Every example is a piece of text.",
    learned:
      "It reads your text and learns its words and its way of writing. It learns no questions and answers.",
  },
};
