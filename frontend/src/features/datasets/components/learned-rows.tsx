import { useInfiniteQuery } from "@tanstack/react-query";
import type { RowKind } from "@/api/types";
import { Section } from "@/components/ui/page";
import { RowView } from "@/features/datasets/components/row-view";
import { rowsQuery } from "@/features/datasets/queries";
import classes from "./row-list.module.css";

const SHOWN = 3;

const LEADS: Record<RowKind, string> = {
  chat: "It learns to give the coloured words when it is asked the grey ones. It is never trained on the questions.",
  preference:
    "It learns to prefer the coloured answer to the other one, and so to answer more like it. It is never trained on the questions.",
  text: "It learns to go on reading: each word from all that stand before it.",
};

/** Three of her rows: the words that will be learned in colour, the rest grey. */
export function LearnedRows({ versionId, kind }: { versionId: string; kind: RowKind }) {
  const rows = useInfiniteQuery(rowsQuery(versionId, "all", ""));
  const learned = rows.data?.pages[0]?.data.filter((row) => row.split === "train").slice(0, SHOWN) ?? [];
  if (learned.length === 0) return null;
  return (
    <Section title="What the model will learn" lead={LEADS[kind]}>
      <ol className={classes.rows}>
        {learned.map((row) => (
          <li key={row.id}>
            <span className={classes.number}>{row.number}</span>
            <RowView row={row} showLearned />
          </li>
        ))}
      </ol>
    </Section>
  );
}
