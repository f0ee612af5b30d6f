import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { LedgerEntry, ListOf, Price, Storage, UsageSummary } from "@/api/types";

export const usageSummaryQuery = queryOptions({
  queryKey: ["usage", "summary"],
  queryFn: ({ signal }) => unwrap<UsageSummary>(api.GET("/v1/usage/summary", { signal })),
});

export const usageEntriesQuery = queryOptions({
  queryKey: ["usage", "entries"],
  queryFn: ({ signal }) =>
    unwrap<ListOf<LedgerEntry>>(api.GET("/v1/usage/entries", { params: { query: { limit: 50 } }, signal })),
});

/** What the workspace's files take, and what they may. */
export const storageQuery = queryOptions({
  queryKey: ["usage", "storage"],
  queryFn: ({ signal }) => unwrap<Storage>(api.GET("/v1/usage/storage", { signal })),
});

export const pricesQuery = queryOptions({
  queryKey: ["prices"],
  queryFn: ({ signal }) => unwrap<ListOf<Price>>(api.GET("/v1/prices", { signal })),
});
