import type { ColumnRole, Inspection, Mapping } from "@/api/types";

export type Column = Inspection["columns"][number];

/** The four ways in which a row can be read. */
export type Way = "pair" | "thread" | "preference" | "text";

/** A mapping that is being chosen: it may not say enough yet. */
export type Draft = Partial<Mapping>;

interface WayWords {
  label: string;
  hint: string;
  roles: { role: ColumnRole; label: string; hint?: string }[];
  /** The parts without which nothing can be shown, and what to say while one is not chosen. */
  needed: Partial<Record<keyof Mapping, string>>;
}

const INSTRUCTIONS = {
  role: "system",
  label: "Instructions",
  hint: "Told to the model before the question, such as whom it answers for.",
} as const;
const WHEN = {
  role: "time",
  label: "When",
  hint: "The date or time. Not learned: with it, the newest can be held back to check the result.",
} as const;
const QUESTIONS = [
  { role: "question", label: "Question" },
  {
    role: "context",
    label: "More of the question",
    hint: "Stands after the question, such as a mail's text below its subject.",
  },
] as const;

export const WAYS: Record<Way, WayWords> = {
  pair: {
    label: "A question and its answer",
    hint: "Every row is an example of its own.",
    roles: [...QUESTIONS, { role: "answer", label: "Good answer" }, WHEN, INSTRUCTIONS],
    needed: {
      question: "Say which column has the question.",
      answer: "Say which column has the good answer.",
    },
  },
  thread: {
    label: "One message of a conversation",
    hint: "Tickets, chats or mails: rows with the same number make one example.",
    roles: [
      { role: "conversation", label: "Conversation" },
      { role: "speaker", label: "Who speaks" },
      { role: "message", label: "What is said" },
      WHEN,
      INSTRUCTIONS,
    ],
    needed: {
      conversation: "Say which column tells the conversations apart, such as a ticket number.",
      speaker: "Say which column has who speaks.",
      message: "Say which column has what is said.",
      assistant_speakers: "Say who of them is on your side. Their words are what the model will learn.",
    },
  },
  preference: {
    label: "A question, a better and a worse answer",
    hint: "The model will learn which of the two you prefer.",
    roles: [
      ...QUESTIONS,
      { role: "chosen", label: "Better answer" },
      { role: "rejected", label: "Worse answer" },
      WHEN,
      INSTRUCTIONS,
    ],
    needed: {
      question: "Say which column has the question.",
      chosen: "Say which column has the better answer.",
      rejected: "Say which column has the worse answer.",
    },
  },
  text: {
    label: "A text, without questions",
    hint: "The model will read it and learn its words.",
    roles: [{ role: "text", label: "Text" }, WHEN],
    needed: { text: "Say which column has the text." },
  },
};

export const WAY_NAMES = Object.keys(WAYS) as Way[];

/** What a column plays in one way is likely to be this in another. */
const ALIKE: ColumnRole[][] = [
  ["question", "message", "text"],
  ["answer", "chosen"],
];
const SAME_FOR_ALL = ["system_text"] as const;

function isSaid(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

export function wayOf(draft: Draft): Way {
  if (isSaid(draft.text)) return "text";
  if (isSaid(draft.chosen) || isSaid(draft.rejected)) return "preference";
  const isThread = isSaid(draft.conversation) || isSaid(draft.speaker) || isSaid(draft.message);
  return isThread && !isSaid(draft.answer) ? "thread" : "pair";
}

/** What is still to be chosen; none once the mapping says enough. */
export function missing(draft: Draft, way: Way): (keyof Mapping)[] {
  return (Object.keys(WAYS[way].needed) as (keyof Mapping)[]).filter((part) => !isSaid(draft[part]));
}

/** Only what belongs to the way and is said: what the server is sent, and the address keeps. */
export function trimmed(draft: Draft, way: Way): Draft {
  const parts: (keyof Mapping)[] = WAYS[way].roles.map(({ role }) => role);
  if (way === "thread") parts.push("assistant_speakers", "ignored_speakers");
  if (way !== "text" && !isSaid(draft.system)) parts.push("system_text");
  return Object.fromEntries(parts.filter((part) => isSaid(draft[part])).map((part) => [part, draft[part]]));
}

export function complete(draft: Draft, way: Way): Mapping | null {
  if (missing(draft, way).length > 0) return null;
  return trimmed(draft, way) as Mapping;
}

export function roleOf(draft: Draft, way: Way, column: string): ColumnRole | null {
  return WAYS[way].roles.find(({ role }) => draft[role] === column)?.role ?? null;
}

/** One column, one part: whoever had it before has none. */
export function assign(draft: Draft, way: Way, column: string, role: ColumnRole | null): Draft {
  const had = roleOf(draft, way, column);
  const next = { ...draft, ...(had ? { [had]: null } : {}), ...(role ? { [role]: column } : {}) };
  // other people speak in another column
  const speaker = role === "speaker" || had === "speaker";
  return speaker ? { ...next, assistant_speakers: [], ignored_speakers: [] } : next;
}

/** As much as can be kept, and what the columns themselves suggest for the rest. */
export function inWay(draft: Draft, way: Way, columns: Column[]): Draft {
  const next: Draft = Object.fromEntries(SAME_FOR_ALL.map((part) => [part, draft[part]]));
  const taken = new Set<string>();
  const take = (role: ColumnRole, column: string | null | undefined) => {
    if (!column || taken.has(column) || next[role]) return;
    next[role] = column;
    taken.add(column);
  };
  const roles = WAYS[way].roles.map(({ role }) => role);
  for (const role of roles) take(role, draft[role]);
  for (const role of roles) take(role, columns.find((column) => column.role_suggestion === role)?.name);
  for (const role of roles) {
    const group = ALIKE.find((one) => one.includes(role)) ?? [];
    for (const other of group) take(role, draft[other]);
  }
  if (way === "thread" && next.speaker === draft.speaker) {
    next.assistant_speakers = draft.assistant_speakers ?? [];
    next.ignored_speakers = draft.ignored_speakers ?? [];
  }
  return next;
}

/** From the columns alone, where nothing complete was proposed. */
export function suggested(columns: Column[]): Draft {
  return Object.fromEntries(
    columns.flatMap((column) => (column.role_suggestion ? [[column.role_suggestion, column.name]] : [])),
  );
}

/** The columns that somebody chose, and how a row is read. */
export interface Choice {
  draft: Draft;
  way: Way;
}

/** All that was chosen: without columns, those that the sheet suggests. */
export interface Chosen {
  sheet: string | null;
  choice: Choice | null;
}

/** As the address keeps it. */
export function written({ sheet, choice }: Chosen): Record<string, unknown> {
  const columns = choice && { way: choice.way, ...trimmed(choice.draft, choice.way) };
  return { ...(sheet === null ? {} : { sheet }), ...columns };
}

/** From the address; what is no part of a draft is overlooked. */
export function parsed(kept: Record<string, unknown> | undefined): Chosen {
  const sheet = typeof kept?.sheet === "string" ? kept.sheet : null;
  const way = WAY_NAMES.find((name) => name === kept?.way);
  if (!kept || !way) return { sheet, choice: null };
  const isSpeakers = (part: string) => part === "assistant_speakers" || part === "ignored_speakers";
  const isFit = ([part, value]: [string, unknown]) =>
    isSpeakers(part)
      ? Array.isArray(value) && value.every((one) => typeof one === "string")
      : typeof value === "string";
  const draft = trimmed(Object.fromEntries(Object.entries(kept).filter(isFit)), way);
  return { sheet, choice: { draft, way } };
}
