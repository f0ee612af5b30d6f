import type { FilePreviewBody, Mapping } from "@/api/types";
import { makeFile, makeVersion } from "@/testing/fixtures";
import { TICKETS_MAPPING } from "@/testing/mapping-fixtures";

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
