import type { Mapping } from "@/api/types";

/** Of `makeFile` and of what is made of it. */
export const TICKETS_MAPPING: Mapping = {
  question: "ticket",
  answer: "reply",
  system: null,
  assistant_speakers: [],
  ignored_speakers: [],
};
