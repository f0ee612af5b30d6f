/** The versions of one dataset, and what differs between two of them. */
import type { Learner, PastVersion, VersionDiff } from "@/api/types";
import { makeRow, makeVersion, messagesOf, NOW_S } from "@/testing/fixtures";

const first = makeVersion({ id: "dsv_0", number: 1, created_at: NOW_S - 90_000 });
const second = makeVersion({
  id: "dsv_00",
  number: 2,
  created_at: NOW_S - 9_000,
  parent_id: "dsv_0",
  num_changed: 2,
  changes: [
    { type: "edit_row", number: 3, content: { messages: messagesOf(1) } },
    { type: "exclude_rows", finding: "duplicate" },
  ],
});
const third = makeVersion({
  number: 3,
  parent_id: "dsv_00",
  num_changed: 2,
  changes: [{ type: "restore", number: 1 }],
});

/** Newest first. */
export const HISTORY: PastVersion[] = [
  { ...third, created_by_name: "Ada Okafor" },
  { ...second, created_by_name: "Ben Sato" },
  { ...first, created_by_name: "Ada Okafor" },
];

export const DIFF: VersionDiff = {
  object: "list",
  data: [
    {
      id: "dsv_00.3",
      object: "row_diff",
      number: 3,
      kind: "edited",
      before: makeRow(2),
      after: makeRow(2, { messages: messagesOf(1), is_edited: true }),
    },
    {
      id: "dsv_00.5",
      object: "row_diff",
      number: 5,
      kind: "excluded",
      before: makeRow(4),
      after: makeRow(4, { is_excluded: true, split: "left_out" }),
    },
  ],
  has_more: false,
  first_id: "dsv_00.3",
  last_id: "dsv_00.5",
  before: first,
  after: second,
  counts: { edited: 1, excluded: 1 },
};

export const LEARNER: Learner = {
  id: "ftjob-1",
  object: "learner",
  name: "Front desk",
  status: "succeeded",
  created_at: NOW_S - 3_600,
  version_id: "dsv_0",
  validation_version_id: null,
  model: "ft:smollm2-135m-instruct:acme:front-desk:1",
};
