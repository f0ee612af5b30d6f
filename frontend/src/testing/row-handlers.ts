import { http, HttpResponse } from "msw";
import type { DatasetDraft, Row, RowChange } from "@/api/types";
import { listOf, makeRow, makeVersion } from "@/testing/fixtures";
import { rowsOfKind } from "@/testing/kind-fixtures";

const NUM_ROWS = 12;

export function makeDraft(...changes: RowChange[]): DatasetDraft {
  return {
    object: "dataset_draft",
    dataset_id: "ds_1",
    version_id: "dsv_1",
    is_stale: false,
    changes: changes.map((change) => ({ change, created_by_name: "Ada Okafor", created_at: 1_700_000_000 })),
  };
}

function rowsOf(versionId: unknown): Row[] {
  return rowsOfKind(versionId) ?? Array.from({ length: NUM_ROWS }, (_, index) => makeRow(index));
}

function matches(row: Row, query: URLSearchParams): boolean {
  const [filter, finding] = [query.get("filter"), query.get("finding")];
  return (
    (filter !== "heldout" || row.split === "heldout") &&
    (filter !== "train" || row.split === "train") &&
    (filter !== "problems" || row.problems.length > 0) &&
    (finding === null || row.problems.some((problem) => problem.code === finding)) &&
    (!query.get("q") || row.messages.some((said) => (said.content ?? "").includes(query.get("q") ?? "")))
  );
}

/** A dozen examples, and a draft in which nothing is. */
export const rowHandlers = [
  http.get("*/v1/dataset_versions/:id/rows", ({ params, request }) => {
    const query = new URL(request.url).searchParams;
    const rows = rowsOf(params.id).filter((row) => matches(row, query));
    const offset = Number(query.get("offset") ?? 0);
    const page = rows.slice(offset, offset + Number(query.get("limit") ?? 20));
    return HttpResponse.json({ ...listOf(page), total: query.get("q") ? null : rows.length });
  }),
  http.get("*/v1/dataset_versions/:id/rows/:number", ({ params }) => {
    const row = rowsOf(params.id).find((one) => one.number === Number(params.number));
    return row ? HttpResponse.json(row) : new HttpResponse(null, { status: 404 });
  }),
  http.get("*/v1/dataset_versions/:id/rows/:number/lineage", ({ params }) =>
    HttpResponse.json({
      object: "row_lineage",
      number: Number(params.number),
      file_id: "file-1",
      filename: "tickets.csv",
      versions: [{ id: makeVersion().id, number: 1 }],
      runs: [],
    }),
  ),
  http.get("*/v1/dataset_versions/:id/rows/:number/place", ({ params }) =>
    HttpResponse.json({
      object: "row_place",
      number: Number(params.number),
      place: Number(params.number) - 1,
    }),
  ),
  http.get("*/v1/dataset_versions/:id/row_numbers", ({ params, request }) => {
    const query = new URL(request.url).searchParams;
    const numbers = rowsOf(params.id)
      .filter((row) => matches(row, query))
      .map((row) => row.number);
    return HttpResponse.json({ object: "row_numbers", numbers, has_more: false });
  }),
  http.get("*/v1/dataset_versions/:id/tags", ({ params }) =>
    HttpResponse.json({
      object: "row_tags",
      tags: params.id === "dsv_1" ? [{ tag: "parking", num_rows: 2 }] : [],
    }),
  ),
  http.get("*/v1/datasets/:id/draft", () => HttpResponse.json(makeDraft())),
];
