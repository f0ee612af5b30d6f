import { useQuery } from "@tanstack/react-query";
import type { FilePreviewBody, Inspection, Mapping } from "@/api/types";
import {
  complete,
  missing,
  suggested,
  trimmed,
  wayOf,
  WAYS,
  type Chosen,
  type Column,
} from "@/features/datasets/components/mapping";
import { previewQuery } from "@/features/datasets/queries";

const NO_COLUMNS: Column[] = [];

/** What is chosen, or else proposed, for a file's sheet and columns, and its first rows under that. */
export function useMappingDraft(fileId: string, inspection: Inspection, chosen: Chosen) {
  const isOther = chosen.sheet !== null && chosen.sheet !== (inspection.sheet ?? null);
  const proposal = useQuery(previewQuery(fileId, isOther ? { sheet: chosen.sheet } : null));
  const looked = isOther ? proposal.data : inspection;
  const sheets = inspection.sheets.length > 0 ? inspection.sheets : (proposal.data?.sheets ?? []);
  const sheet = chosen.sheet ?? inspection.sheet ?? proposal.data?.sheet ?? null;
  const onSheet = sheets.length > 1 && sheet !== null ? { sheet } : {};
  const columns = looked?.columns ?? NO_COLUMNS;
  const hasColumns = columns.length > 0;
  const proposed = proposal.data?.mapping ?? looked?.mapping ?? suggested(columns);
  const choice = chosen.choice ?? { draft: proposed, way: wayOf(proposed) };
  const [first, ...others] = hasColumns ? missing(choice.draft, choice.way) : [];
  // who speaks can be shown before it is said who answers
  const canShow = first === undefined || (first === "assistant_speakers" && others.length === 0);
  const isOwn = chosen.choice !== null && hasColumns && canShow;
  const own = useQuery({
    ...previewQuery(fileId, { ...onSheet, ...trimmed(choice.draft, choice.way) }),
    enabled: isOwn,
    // the rows before stay until those under the new choice are there
    placeholderData: (before: FilePreviewBody | undefined) =>
      before?.sheet === sheet ? before : proposal.data,
  });
  const shown = isOwn ? own : proposal;
  const whole = hasColumns ? complete(choice.draft, choice.way) : null;
  return {
    choice,
    sheets,
    sheet,
    /** Of the sheet, once it was looked at. */
    looked,
    columns,
    /** What to read the file with; undefined where nothing need be said, null as long as it says too little. */
    mapping: !looked ? null : hasColumns ? whole && { ...onSheet, ...whole } : onlySheet(onSheet),
    preview: shown.data,
    error: shown.error,
    isStale: isOwn && own.isPlaceholderData,
    wanted: first === undefined ? null : (WAYS[choice.way].needed[first] ?? null),
    rememberedId: chosen.choice === null ? (proposal.data?.remembered_mapping_id ?? null) : null,
  };
}

function onlySheet(onSheet: { sheet?: string }): Mapping | undefined {
  return onSheet.sheet === undefined ? undefined : (onSheet as Mapping);
}
