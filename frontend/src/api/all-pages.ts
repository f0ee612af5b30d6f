import type { ListOf } from "@/api/types";

const MOST = 1000;

export interface PageQuery {
  limit: number;
  after?: string;
}

/** The whole of a list that people make by hand, page after page; it stops where nobody would read on. */
export async function allPages<T extends { id: string }>(
  fetchPage: (query: PageQuery) => Promise<ListOf<T>>,
): Promise<T[]> {
  const found: T[] = [];
  let query: PageQuery = { limit: 100 };
  for (;;) {
    const page = await fetchPage(query);
    found.push(...page.data);
    if (!page.has_more || page.last_id === null || found.length >= MOST) return found;
    query = { ...query, after: page.last_id };
  }
}
