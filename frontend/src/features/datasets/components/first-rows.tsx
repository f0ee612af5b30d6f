import type { ApiError } from "@/api/errors";
import { messageOf } from "@/api/errors";
import type { FilePreviewBody, RowKind } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { ProblemList } from "@/features/datasets/components/problem-list";
import { RowView } from "@/features/datasets/components/row-view";
import { plural } from "@/lib/format";
import classes from "./file-preview.module.css";

const PREVIEWS: Record<RowKind, { title: string; lead: string }> = {
  chat: {
    title: "Your first rows, as conversations",
    lead: "The model will learn to say the coloured part.",
  },
  preference: {
    title: "Your first rows, with both answers",
    lead: "The model will learn to answer more like the coloured one than like the other.",
  },
  text: { title: "The beginning of your text", lead: "The model will learn to go on writing like this." },
};

interface FirstRowsProps {
  preview: FilePreviewBody | undefined;
  error: ApiError | Error | null;
  /** What is still to be chosen before rows can be shown. */
  wanted: string | null;
  isStale: boolean;
  /** Whether the workbook has other sheets to choose from. */
  hasOtherSheets: boolean;
}

/** The first examples under what is chosen, and what is wrong with those that were looked at. */
export function FirstRows({ preview, error, wanted, isStale, hasOtherSheets }: FirstRowsProps) {
  if (wanted) {
    return (
      <Notice tone="warn" title={wanted}>
        Then the first rows are shown here.
      </Notice>
    );
  }
  if (error && !isStale) {
    return (
      <Notice
        tone="bad"
        title={
          hasOtherSheets ? "This sheet holds no examples that can be used" : "The first rows cannot be shown"
        }
      >
        {hasOtherSheets && "Choose another sheet above, or mend this one. "}
        {messageOf(error)}
      </Notice>
    );
  }
  if (!preview) return <SkeletonLines count={6} height={28} />;
  return (
    <>
      <Section {...PREVIEWS[preview.kind]}>
        <p className={classes.counts} role="status">
          {counted(preview)}
        </p>
        {preview.sample.length === 0 ? (
          <Notice tone="warn" title="No row makes an example like this">
            Choose other columns; what is wrong with the rows is told below.
          </Notice>
        ) : (
          <ol className={classes.rows} data-stale={isStale || undefined}>
            {preview.sample.map((row) => (
              <li key={row.row}>
                <RowView row={row} showLearned />
              </li>
            ))}
          </ol>
        )}
      </Section>
      {preview.num_problems > 0 && (
        <Section
          title={`${plural(preview.num_problems, "thing")} to look at`}
          lead="You can go on: rows with an error are left out, the others are used."
        >
          <ProblemList problems={preview.problems} total={preview.num_problems} />
        </Section>
      )}
    </>
  );
}

function counted(preview: FilePreviewBody): string {
  const looked = `${preview.is_complete ? "" : "the first "}${plural(preview.num_records, "row")}`;
  const usable = plural(preview.num_rows - preview.num_problems, "example");
  const left = preview.num_problems > 0 ? `, ${plural(preview.num_problems, "problem")}` : "";
  return `From ${looked}: ${usable}${left}.${preview.is_complete ? "" : " The rest is read when you go on."}`;
}
