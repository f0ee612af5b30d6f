import { useInfiniteQuery } from "@tanstack/react-query";
import { Conversation } from "@/components/ui/conversation";
import { Section } from "@/components/ui/page";
import { rowsQuery } from "@/features/datasets/queries";
import classes from "./row-list.module.css";

const SHOWN = 3;

/** Three of her rows: the words that will be learned in colour, the rest grey. */
export function LearnedRows({ versionId }: { versionId: string }) {
  const rows = useInfiniteQuery(rowsQuery(versionId, "all", ""));
  const learned = rows.data?.pages[0]?.data.filter((row) => row.split === "train").slice(0, SHOWN) ?? [];
  if (learned.length === 0) return null;
  return (
    <Section
      title="What the model will learn"
      lead="It learns to give the coloured words when it is asked the grey ones. It is never trained on the questions."
    >
      <ol className={classes.rows}>
        {learned.map((row) => (
          <li key={row.id}>
            <span className={classes.number}>{row.number}</span>
            <Conversation messages={row.messages} showLearned />
          </li>
        ))}
      </ol>
    </Section>
  );
}
