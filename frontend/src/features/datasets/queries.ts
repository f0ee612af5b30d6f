import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type {
  Dataset,
  DatasetVersion,
  FileImport,
  FilePreviewBody,
  ImportFile,
  ListOf,
  Mapping,
  Row,
  Sample,
  UploadedFile,
} from "@/api/types";
import { findUpload } from "@/api/upload";

export const POLL_MS = 1500;

export const keys = {
  all: ["datasets"] as const,
  list: ["datasets", "list"] as const,
  one: (id: string) => ["datasets", "one", id] as const,
  previews: ["previews"] as const,
  preview: (fileId: string, mapping: Partial<Mapping> | null) => ["previews", fileId, mapping] as const,
  rows: (versionId: string) => ["datasets", "rows", versionId] as const,
};

function isChecking(dataset: Dataset): boolean {
  return dataset.latest_version.status === "validating";
}

export const datasetsQuery = queryOptions({
  queryKey: keys.list,
  queryFn: ({ signal }) =>
    unwrap<ListOf<Dataset>>(api.GET("/v1/datasets", { params: { query: { limit: 100 } }, signal })),
  refetchInterval: (query) => (query.state.data?.data.some(isChecking) ? POLL_MS : false),
});

export function datasetQuery(id: string) {
  return queryOptions({
    queryKey: keys.one(id),
    queryFn: ({ signal }) =>
      unwrap<Dataset>(api.GET("/v1/datasets/{dataset_id}", { params: { path: { dataset_id: id } }, signal })),
    refetchInterval: (query) => (query.state.data && isChecking(query.state.data) ? POLL_MS : false),
  });
}

export function versionQuery(id: string) {
  return queryOptions({
    queryKey: ["datasets", "version", id],
    queryFn: ({ signal }) =>
      unwrap<DatasetVersion>(
        api.GET("/v1/dataset_versions/{version_id}", { params: { path: { version_id: id } }, signal }),
      ),
  });
}

/** The first few that are learned from, or held back. */
export function firstRowsQuery(versionId: string, filter: "train" | "heldout", limit: number) {
  return queryOptions({
    queryKey: [...keys.rows(versionId), "first", filter, limit],
    queryFn: ({ signal }) =>
      unwrap<ListOf<Row>>(
        api.GET("/v1/dataset_versions/{version_id}/rows", {
          params: { path: { version_id: versionId }, query: { filter, limit } },
          signal,
        }),
      ),
  });
}

export const samplesQuery = queryOptions({
  queryKey: ["samples"],
  queryFn: ({ signal }) => unwrap<ListOf<Sample>>(api.GET("/v1/samples", { signal })),
  staleTime: Infinity,
});

export function fileQuery(id: string) {
  return queryOptions({
    queryKey: ["files", id],
    queryFn: ({ signal }) =>
      unwrap<UploadedFile>(api.GET("/v1/files/{file_id}", { params: { path: { file_id: id } }, signal })),
    staleTime: Infinity,
  });
}

/** The first rows under a mapping; without one, under what was chosen before or is proposed. */
export function previewQuery(id: string, mapping: Partial<Mapping> | null) {
  return queryOptions({
    queryKey: keys.preview(id, mapping),
    queryFn: ({ signal }) =>
      unwrap<FilePreviewBody>(
        api.POST("/v1/files/{file_id}/preview", {
          params: { path: { file_id: id } },
          body: { mapping: mapping as Mapping | null },
          signal,
        }),
      ),
    staleTime: Infinity,
    retry: false,
  });
}

export function uploadQuery(id: string) {
  return queryOptions({
    queryKey: ["uploads", id],
    queryFn: ({ signal }) => findUpload(id, signal),
    retry: false,
  });
}

function isOnItsWay(found: FileImport): boolean {
  return found.status === "queued" || found.status === "running";
}

export function importQuery(id: string) {
  return queryOptions({
    queryKey: ["imports", id],
    queryFn: ({ signal }) =>
      unwrap<FileImport>(
        api.GET("/v1/files/imports/{import_id}", { params: { path: { import_id: id } }, signal }),
      ),
    refetchInterval: (query) => (query.state.data && isOnItsWay(query.state.data) ? POLL_MS : false),
  });
}

export function useImportFile() {
  return useMutation({
    mutationFn: (body: ImportFile) => unwrap<FileImport>(api.POST("/v1/files/import", { body })),
  });
}

export function useCancelImport() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<FileImport>(
        api.POST("/v1/files/imports/{import_id}/cancel", { params: { path: { import_id: id } } }),
      ),
    onSuccess: (found, id) => client.setQueryData(importQuery(id).queryKey, found),
  });
}

export function useForgetMapping() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<unknown>(
        api.DELETE("/v1/column_mappings/{column_mapping_id}", {
          params: { path: { column_mapping_id: id } },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.previews }),
  });
}

export function useTrySample() {
  return useMutation({
    mutationFn: (id: string) =>
      unwrap<UploadedFile>(api.POST("/v1/samples/{sample_id}", { params: { path: { sample_id: id } } })),
  });
}

function useDatasetChange<Input, Output>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

/** What is chosen is proposed for the next file with such columns. */
function useMappingChange<Input, Output>(mutationFn: (input: Input) => Promise<Output>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn,
    onSuccess: () => {
      client.removeQueries({ queryKey: keys.previews, type: "inactive" });
      return client.invalidateQueries({ queryKey: keys.all });
    },
  });
}

export function useCreateDataset() {
  return useMappingChange((body: { file_id: string; name: string; mapping?: Mapping }) =>
    unwrap<Dataset>(api.POST("/v1/datasets", { body })),
  );
}

export function useRenameDataset(id: string) {
  return useDatasetChange((name: string) =>
    unwrap<Dataset>(
      api.PATCH("/v1/datasets/{dataset_id}", { params: { path: { dataset_id: id } }, body: { name } }),
    ),
  );
}

export function useDeleteDataset() {
  return useDatasetChange((id: string) =>
    unwrap<unknown>(api.DELETE("/v1/datasets/{dataset_id}", { params: { path: { dataset_id: id } } })),
  );
}

export function useRestoreDataset() {
  return useDatasetChange((id: string) =>
    unwrap<unknown>(api.POST("/v1/datasets/{dataset_id}/restore", { params: { path: { dataset_id: id } } })),
  );
}

export function useChangeMapping(id: string) {
  return useMappingChange((mapping: Mapping) =>
    unwrap<DatasetVersion>(
      api.POST("/v1/datasets/{dataset_id}/versions", {
        params: { path: { dataset_id: id } },
        body: { mapping },
      }),
    ),
  );
}
