import { pick, type Search } from "@/app/search";

interface NewDataSearch {
  file?: string;
  from?: string;
  import?: string;
  /** What was chosen for its columns so far, as the page wrote it and must look at it. */
  columns?: Search;
}

export function newDataSearch(search: Search): NewDataSearch {
  const { columns } = search;
  const isObject = typeof columns === "object" && columns !== null && !Array.isArray(columns);
  return { ...pick(search, "file", "from", "import"), ...(isObject ? { columns: columns as Search } : {}) };
}
