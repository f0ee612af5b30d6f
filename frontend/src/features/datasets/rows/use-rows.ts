import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import type { Row, RowList } from "@/api/types";
import { BLOCK_SIZE, blockQuery, foundQuery } from "@/features/datasets/rows/row-queries";
import type { RowsWanted } from "@/features/datasets/rows/wanted";

/** Who drags the scroll bar passes thousands of rows a second; they are fetched where it stops. */
const PASSING_MS = 80;
const AHEAD = 10;

export interface Rows {
  /** How many there are to scroll through; of a search those found so far, and one that stands for more. */
  count: number;
  /** How many match; null where nobody counted. */
  total: number | null;
  at: (index: number) => Row | undefined;
  isPending: boolean;
  error: unknown;
  retry: () => void;
}

/** How long the list is, before anybody knows what of it is looked at. */
export function useRowCount(versionId: string, wanted: RowsWanted): number {
  const isSearch = wanted.q !== undefined;
  const start = useQuery({ ...blockQuery(versionId, wanted, 0), enabled: !isSearch });
  const found = useInfiniteQuery({ ...foundQuery(versionId, wanted), enabled: isSearch });
  if (!isSearch) return start.data?.total ?? 0;
  return numFound(found.data?.pages) + (found.hasNextPage ? 1 : 0);
}

function numFound(pages: RowList[] | undefined): number {
  return pages?.reduce((sum, page) => sum + page.data.length, 0) ?? 0;
}

/** How many rows match, and those between two places of the list; the others are fetched when they are looked at. */
export function useRows(versionId: string, wanted: RowsWanted, range: { first: number; last: number }): Rows {
  const isSearch = wanted.q !== undefined;
  const counted = useCountedRows(versionId, wanted, range, !isSearch);
  const found = useFoundRows(versionId, wanted, range, isSearch);
  return isSearch ? found : counted;
}

function useCountedRows(
  versionId: string,
  wanted: RowsWanted,
  { first, last }: { first: number; last: number },
  enabled: boolean,
): Rows {
  const [from] = useDebouncedValue(Math.floor(first / BLOCK_SIZE), PASSING_MS, { leading: true });
  const num = Math.floor(Math.max(last, first) / BLOCK_SIZE) - Math.floor(first / BLOCK_SIZE) + 1;
  const start = useQuery({ ...blockQuery(versionId, wanted, 0), enabled });
  const blocks = Array.from({ length: num }, (_, index) => from + index);
  const parts = useQueries({
    queries: blocks.map((block) => ({
      ...blockQuery(versionId, wanted, block),
      enabled: enabled && last >= 0,
    })),
  });
  const failed = parts.find((part) => part.error) ?? (start.error ? start : undefined);
  const total = parts.find((part) => part.data)?.data?.total ?? start.data?.total ?? null;
  return {
    count: total ?? 0,
    total,
    at: (index) => parts[Math.floor(index / BLOCK_SIZE) - from]?.data?.data[index % BLOCK_SIZE],
    isPending: start.isPending,
    error: failed?.error,
    retry: () => void failed?.refetch(),
  };
}

function useFoundRows(
  versionId: string,
  wanted: RowsWanted,
  { last }: { last: number },
  enabled: boolean,
): Rows {
  const found = useInfiniteQuery({ ...foundQuery(versionId, wanted), enabled });
  const rows = found.data?.pages.flatMap((page) => page.data) ?? [];
  const { hasNextPage, isFetching, fetchNextPage, isError } = found;
  useEffect(() => {
    if (enabled && hasNextPage && !isFetching && !isError && last >= rows.length - AHEAD)
      void fetchNextPage();
  }, [enabled, hasNextPage, isFetching, isError, fetchNextPage, last, rows.length]);
  return {
    count: rows.length + (hasNextPage ? 1 : 0),
    total: !hasNextPage && found.data ? rows.length : null,
    at: (index) => rows[index],
    isPending: found.isPending,
    error: found.error,
    retry: () => void found.refetch(),
  };
}
