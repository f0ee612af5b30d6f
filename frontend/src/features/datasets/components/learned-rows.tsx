import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { DatasetVersion, RowKind } from "@/api/types";
import { Section } from "@/components/ui/page";
import { RowView } from "@/features/datasets/components/row-view";
import { firstRowsQuery } from "@/features/datasets/queries";
import { plural } from "@/lib/format";
import classes from "./learned-rows.module.css";

const SHOWN = 3;

const LEADS: Record<RowKind, string> = {
  chat: "It learns to give the coloured words when it is asked the grey ones. It is never trained on the questions.",
  preference:
    "It learns to prefer the coloured answer to the other one, and so to answer more like it. It is never trained on the questions.",
  text: "It learns to go on reading: each word from all that stand before it.",
};

/** Three of her rows: the words that will be learned in colour, the rest grey. */
export function LearnedRows({ datasetId, version }: { datasetId: string; version: DatasetVersion }) {
  const rows = useQuery(firstRowsQuery(version.id, "train", SHOWN));
  const learned = rows.data?.data ?? [];
  if (learned.length === 0) return null;
  return (
    <Section
      title="What the model will learn"
      lead={LEADS[version.kind]}
      actions={
        <Link to="/data/$datasetId/rows" params={{ datasetId }}>
          See all {plural(version.num_rows, "example")}
        </Link>
      }
    >
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
