import type { Finding, Bar } from "@/api/types";

export const LENGTHS: Bar[] = [
  { label: "20 to 49", count: 180 },
  { label: "50 to 99", count: 604 },
  { label: "100 to 199", count: 371 },
  { label: "200 to 499", count: 49 },
];

export const FINDINGS: Finding[] = [
  {
    code: "empty",
    severity: "error",
    count: 1,
    rows: [214],
    sentence: "1 row lacks a question or an answer and is left out.",
    advice: "Fill it in, or go on without it.",
    fixes: ["leave_out"],
    can_be_listed: true,
  },
  {
    code: "duplicate",
    severity: "warning",
    count: 31,
    rows: [12, 19, 44, 71, 102],
    sentence: "31 examples say the same as an earlier one.",
    advice: "Delete them, unless the model should take them more to heart than others.",
    fixes: ["leave_out"],
    can_be_listed: true,
  },
  {
    code: "card_number",
    severity: "warning",
    count: 4,
    rows: [388, 401, 522, 1090],
    sentence: "4 examples contain what looks like a card number.",
    advice: "Remove it: a model may repeat what it learned to anybody.",
    fixes: ["mask", "leave_out"],
    can_be_listed: true,
  },
  {
    code: "contradiction",
    severity: "warning",
    count: 2,
    rows: [7, 96],
    sentence: "2 examples contradict each other: to the same question, another answer is right.",
    advice: "Decide for one answer, or say in the question what makes them differ.",
    fixes: [],
    can_be_listed: true,
  },
];

export const CONTRADICTION: Finding = {
  code: "contradiction",
  severity: "warning",
  count: 1,
  rows: [4],
  sentence: "1 example contradicts another.",
  advice: "Decide which of the two is better, and delete the other row.",
  fixes: [],
  can_be_listed: true,
};
