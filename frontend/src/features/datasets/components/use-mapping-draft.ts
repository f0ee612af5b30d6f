import { useQuery } from "@tanstack/react-query";
import type { FilePreviewBody, Inspection } from "@/api/types";
import { missing, suggested, trimmed, wayOf, WAYS } from "@/features/datasets/components/mapping";
import type { Choice } from "@/features/datasets/components/mapping-editor";
import { previewQuery } from "@/features/datasets/queries";

/** What is chosen, or else proposed, for a file's columns, and its first rows under that. */
export function useMappingDraft(fileId: string, inspection: Inspection, chosen: Choice | null) {
  const hasColumns = inspection.columns.length > 0;
  const proposal = useQuery(previewQuery(fileId, null));
  const proposed = proposal.data?.mapping ?? inspection.mapping ?? suggested(inspection);
  const choice = chosen ?? { draft: proposed, way: wayOf(proposed) };
  const [first, ...others] = hasColumns ? missing(choice.draft, choice.way) : [];
  // who speaks can be shown before it is said who answers
  const canShow = first === undefined || (first === "assistant_speakers" && others.length === 0);
  const isOwn = chosen !== null && hasColumns && canShow;
  const own = useQuery({
    ...previewQuery(fileId, trimmed(choice.draft, choice.way)),
    enabled: isOwn,
    // the rows before stay until those under the new choice are there
    placeholderData: (before: FilePreviewBody | undefined) => before ?? proposal.data,
  });
  const shown = isOwn ? own : proposal;
  return {
    choice,
    preview: shown.data,
    error: shown.error,
    isStale: isOwn && own.isPlaceholderData,
    wanted: first === undefined ? null : (WAYS[choice.way].needed[first] ?? null),
    rememberedId: chosen === null ? (proposal.data?.remembered_mapping_id ?? null) : null,
  };
}
