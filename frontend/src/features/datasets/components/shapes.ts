import type { Inspection } from "@/api/types";

/** What a file's lines are, where they say so by themselves. */
export const SHAPES: Record<NonNullable<Inspection["shape"]>, string> = {
  table: "",
  openai_chat: "Every row is a conversation already.",
  openai_reinforcement:
    "These are questions with a reference to compare answers with. The reference is learned as the answer.",
  sharegpt: "Every row is a conversation already.",
  alpaca: "Every row is an instruction with what was said before.",
  prompt_completion: "Every row is a conversation already.",
  preference: "",
  text: "",
};
