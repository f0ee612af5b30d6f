import type { FilePreviewBody, Mapping, UploadedFile } from "@/api/types";
import { makeFile, makeVersion } from "@/testing/fixtures";
import { TICKETS_MAPPING } from "@/testing/mapping-fixtures";

export const SHEETS = ["Read me", "Tickets 2026", "Mails", "Ratings"];

/** A workbook, of which the second sheet was the first with examples. */
export function makeBook(): UploadedFile {
  const file = makeFile({ id: "file-book", filename: "front desk.xlsx" });
  const text = "The workbook has 4 sheets.";
  return {
    ...file,
    inspection: file.inspection && {
      ...file.inspection,
      format: "xlsx",
      sheets: SHEETS,
      sheet: "Tickets 2026",
      mapping: { ...TICKETS_MAPPING, sheet: "Tickets 2026" },
      notices: [{ code: "sheet_chosen", text }],
    },
  };
}

const MAILS = [
  {
    name: "asked",
    sample_values: ["Is it open on Sunday?", "Do you take cards?"],
    role_suggestion: "question",
  },
  { name: "told", sample_values: ["No, on Monday again.", "Yes, all of them."], role_suggestion: "answer" },
  { name: "by", sample_values: ["Kim", "Ben"], role_suggestion: null },
] as const;

/** The rows of `makeBook` under a mapping. */
export function makeBookPreview(mapping: Partial<Mapping> | null): FilePreviewBody {
  const sheet = mapping?.sheet ?? "Tickets 2026";
  if (sheet !== "Mails") return { ...makePreview(mapping), sheets: SHEETS, sheet };
  const used = { question: "asked", answer: "told", ...mapping };
  const columns = MAILS.map((column) => ({ ...column, sample_values: [...column.sample_values] }));
  const values = (name: string | null | undefined) =>
    columns.find((column) => column.name === name)?.sample_values ?? [];
  return {
    ...makePreview(mapping),
    sheets: SHEETS,
    sheet,
    columns,
    mapping: { ...TICKETS_MAPPING, ...used },
    num_records: 86,
    num_rows: 86,
    num_problems: 0,
    problems: [],
    sample: values(used.question).map((question, index) => ({
      row: index + 2,
      messages: [
        { role: "user" as const, content: question },
        { role: "assistant" as const, content: values(used.answer)[index] ?? "" },
      ],
    })),
  };
}

/** The rows of `makeFile` as the server would show them under a mapping. */
export function makePreview(mapping: Partial<Mapping> | null): FilePreviewBody {
  const inspection = makeFile().inspection;
  const columns = inspection?.columns ?? [];
  const used = mapping ?? inspection?.mapping ?? {};
  const values = (name: string | null | undefined) =>
    columns.find((column) => column.name === name)?.sample_values ?? [];
  return {
    object: "file_preview",
    file_id: "file-1",
    kind: "chat",
    shape: "table",
    sheets: [],
    sheet: null,
    columns,
    mapping: { ...TICKETS_MAPPING, ...used },
    remembered_mapping_id: null,
    num_records: 1204,
    num_rows: 1204,
    num_problems: 2,
    is_complete: true,
    sample: values(used.question).map((question, index) => ({
      row: index + 2,
      messages: [
        ...(used.system_text ? [{ role: "system" as const, content: used.system_text }] : []),
        { role: "user" as const, content: question },
        { role: "assistant" as const, content: values(used.answer)[index] ?? "" },
      ],
    })),
    problems: makeVersion().problems.slice(0, 2),
    speakers: [],
  };
}
