import type { Dataset, Row, RowKind } from "@/api/types";
import { CONTRADICTION } from "@/testing/findings";
import { makeDataset, makeRow, makeVersion, messagesOf } from "@/testing/fixtures";

const CALL = {
  id: "call_1",
  type: "function" as const,
  function: { name: "next_free_day", arguments: '{"doctor": "Lange"}' },
};

/** One set of examples of each kind; its number of rows tells them apart at a glance. */
const KINDS: Record<string, { name: string; kind: RowKind; numRows: number }> = {
  ds_3: { name: "Better letters", kind: "preference", numRows: 480 },
  ds_4: { name: "Our handbook", kind: "text", numRows: 96 },
  ds_5: { name: "Calendar helper", kind: "chat", numRows: 150 },
};

export const DATASETS_OF_KINDS: Dataset[] = Object.entries(KINDS).map(([id, { name, kind, numRows }]) =>
  makeDataset({
    id,
    name,
    latest_version: makeVersion({
      id: id.replace("ds", "dsv"),
      dataset_id: id,
      kind,
      mapping: null,
      num_rows: numRows,
      num_train: numRows - 20,
      num_heldout: 20,
      num_problems: 0,
      problems: [],
      health: { findings: kind === "preference" ? [CONTRADICTION] : [], answer_lengths: [], languages: [] },
    }),
  }),
);

export function findDataset(id: unknown): Dataset | undefined {
  return DATASETS_OF_KINDS.find((dataset) => dataset.id === id);
}

/** The rows of such a version; none of an ordinary one. */
export function rowsOfKind(versionId: unknown): Row[] | undefined {
  if (versionId === "dsv_3") {
    return [0, 1, 3, 4].map((index) => {
      const [question, answer] = messagesOf(index);
      return makeRow(index, {
        messages: question ? [question] : [],
        chosen: answer ? [answer] : [],
        rejected: [{ role: "assistant", content: "Please look at our web page for this." }],
        split: "train",
        problems: [],
      });
    });
  }
  if (versionId === "dsv_4") {
    const texts = [
      "# Holidays\n\nWhoever works on a holiday chooses another day within the month. Ask the desk first; it keeps the list.",
      "# Keys\n\n" + "The key to the store room hangs behind the desk. ".repeat(20),
    ];
    return texts.map((text, index) => makeRow(index, { messages: [], text, split: "train", problems: [] }));
  }
  if (versionId === "dsv_5") {
    return [
      makeRow(0, {
        messages: [
          { role: "user", content: "When is Dr Lange free?" },
          { role: "assistant", content: null, tool_calls: [CALL] },
          { role: "tool", content: '{"day": "Thursday"}', tool_call_id: "call_1" },
          { role: "assistant", content: "On Thursday. Shall I book it?", weight: 0.5 },
          { role: "user", content: "Yes, please." },
          { role: "assistant", content: "Done.", weight: 0 },
        ],
        tools: [{ type: "function", function: { name: "next_free_day" } }],
      }),
    ];
  }
  return undefined;
}
