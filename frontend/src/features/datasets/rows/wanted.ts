import type { RowFilter, RowOrder } from "@/api/types";

/** Which examples are looked at and in which order; it lives in the address. */
export interface RowsWanted {
  filter?: RowFilter;
  finding?: string;
  tag?: string;
  q?: string;
  order?: RowOrder;
  min?: number;
  max?: number;
}

/** As the API asks for it. */
export function queryOf(wanted: RowsWanted) {
  const { min, max, ...rest } = wanted;
  return {
    ...rest,
    ...(min === undefined ? {} : { min_tokens: min }),
    ...(max === undefined ? {} : { max_tokens: max }),
  };
}

/** Without what asks for nothing, so that equal wishes are equal addresses and equal keys. */
export function tidy(wanted: RowsWanted): RowsWanted {
  const said = Object.entries(wanted).filter(
    ([key, value]) =>
      value !== undefined &&
      value !== "" &&
      !(key === "filter" && value === "all") &&
      !(key === "order" && value === "number"),
  );
  return Object.fromEntries(said);
}

/** Whether some examples are not shown. */
export function isNarrowed(wanted: RowsWanted): boolean {
  return Object.keys(tidy({ ...wanted, order: "number" })).length > 0;
}

/** How many ways of choosing are in use that do not show by themselves. */
export function numHidden(wanted: RowsWanted): number {
  return [wanted.finding, wanted.tag, wanted.min ?? wanted.max].filter((value) => value !== undefined).length;
}
