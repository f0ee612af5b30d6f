import { keepPreviousData, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type {
  DatasetDraft,
  DatasetVersion,
  Row,
  RowChange,
  RowContent,
  RowLineage,
  RowList,
  RowNumbers,
  RowPlace,
  RowTags,
} from "@/api/types";
import { keys } from "@/features/datasets/queries";
import { queryOf, type RowsWanted } from "@/features/datasets/rows/wanted";

export const BLOCK_SIZE = 50;
const KEPT_MS = 60_000;
/** How soon one sees what others do to the same examples. */
const LOOK_AGAIN_MS = 10_000;

const keyOf = (versionId: string) => [...keys.rows(versionId), "table"] as const;

/** Some rows as the draft makes them, from a place on or after a row. */
function fetchRows(
  versionId: string,
  wanted: RowsWanted,
  where: { offset: number } | { after: string },
  signal: AbortSignal,
) {
  return unwrap<RowList>(
    api.GET("/v1/dataset_versions/{version_id}/rows", {
      params: {
        path: { version_id: versionId },
        query: { ...queryOf(wanted), ...where, limit: BLOCK_SIZE, draft: true },
      },
      signal,
    }),
  );
}

export function blockQuery(versionId: string, wanted: RowsWanted, block: number) {
  return queryOptions({
    queryKey: [...keyOf(versionId), wanted, block],
    queryFn: ({ signal }) => fetchRows(versionId, wanted, { offset: block * BLOCK_SIZE }, signal),
    staleTime: Infinity,
    gcTime: KEPT_MS,
  });
}

/** What a search finds is not counted: it comes page by page. */
export function foundQuery(versionId: string, wanted: RowsWanted) {
  return {
    queryKey: [...keyOf(versionId), wanted, "found"],
    queryFn: ({ pageParam, signal }: { pageParam: string; signal: AbortSignal }) =>
      fetchRows(versionId, wanted, { after: pageParam }, signal),
    initialPageParam: "",
    getNextPageParam: (page: RowList) => (page.has_more ? page.last_id : null),
    staleTime: Infinity,
    gcTime: KEPT_MS,
  };
}

export function rowQuery(versionId: string, number: number) {
  return queryOptions({
    queryKey: [...keyOf(versionId), "row", number],
    queryFn: ({ signal }) =>
      unwrap<Row>(
        api.GET("/v1/dataset_versions/{version_id}/rows/{number}", {
          params: { path: { version_id: versionId, number }, query: { draft: true } },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

export function rowLineageQuery(versionId: string, number: number) {
  return queryOptions({
    queryKey: [...keyOf(versionId), "lineage", number],
    queryFn: ({ signal }) =>
      unwrap<RowLineage>(
        api.GET("/v1/dataset_versions/{version_id}/rows/{number}/lineage", {
          params: { path: { version_id: versionId, number } },
          signal,
        }),
      ),
  });
}

export function tagsQuery(versionId: string) {
  return queryOptions({
    queryKey: [...keyOf(versionId), "tags"],
    queryFn: ({ signal }) =>
      unwrap<RowTags>(
        api.GET("/v1/dataset_versions/{version_id}/tags", {
          params: { path: { version_id: versionId } },
          signal,
        }),
      ),
    staleTime: Infinity,
  });
}

export function fetchPlace(versionId: string, wanted: RowsWanted, number: number) {
  return unwrap<RowPlace>(
    api.GET("/v1/dataset_versions/{version_id}/rows/{number}/place", {
      params: { path: { version_id: versionId, number }, query: queryOf(wanted) },
    }),
  );
}

export function useAllNumbers(versionId: string, wanted: RowsWanted) {
  return useMutation({
    mutationFn: () =>
      unwrap<RowNumbers>(
        api.GET("/v1/dataset_versions/{version_id}/row_numbers", {
          params: { path: { version_id: versionId }, query: queryOf(wanted) },
        }),
      ),
  });
}

export function draftQuery(datasetId: string) {
  return queryOptions({
    queryKey: [...keys.all, "draft", datasetId],
    queryFn: ({ signal }) =>
      unwrap<DatasetDraft>(
        api.GET("/v1/datasets/{dataset_id}/draft", { params: { path: { dataset_id: datasetId } }, signal }),
      ),
    refetchInterval: LOOK_AGAIN_MS,
  });
}

/** What is not saved yet, and all that can be done to it. Whatever succeeds or is refused, what is shown is fetched anew. */
export function useDraft(datasetId: string, versionId: string) {
  const client = useQueryClient();
  const path = { params: { path: { dataset_id: datasetId } } };
  const showDraft = (draft: DatasetDraft) => {
    client.setQueryData(draftQuery(datasetId).queryKey, draft);
    return client.invalidateQueries({ queryKey: keyOf(versionId) });
  };
  const showAll = () => client.invalidateQueries({ queryKey: keys.all });
  const change = useMutation({
    mutationFn: ({ change, seen }: { change: RowChange; seen?: RowContent }) =>
      unwrap<DatasetDraft>(
        api.POST("/v1/datasets/{dataset_id}/draft/changes", {
          ...path,
          // what has a default may be left out; the generated types ask for it
          body: { version_id: versionId, change, ...(seen ? { seen } : {}) } as never,
        }),
      ),
    onSuccess: showDraft,
  });
  const undo = useMutation({
    mutationFn: () => unwrap<DatasetDraft>(api.POST("/v1/datasets/{dataset_id}/draft/undo", path)),
    onSuccess: showDraft,
  });
  const discard = useMutation({
    mutationFn: () => unwrap<unknown>(api.DELETE("/v1/datasets/{dataset_id}/draft", path)),
    onSuccess: showAll,
  });
  const save = useMutation({
    mutationFn: () => unwrap<DatasetVersion>(api.POST("/v1/datasets/{dataset_id}/draft/save", path)),
    onSuccess: showAll,
  });
  const draft = useQuery(draftQuery(datasetId));
  return { draft, change, undo, discard, save, refresh: showAll };
}

export type Draft = ReturnType<typeof useDraft>;
