import { Button, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Inspection, Mapping, RowContent, RowKind, UploadedFile } from "@/api/types";
import { messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { completeMapping, MappingFields } from "@/features/datasets/components/mapping-fields";
import { ProblemList } from "@/features/datasets/components/problem-list";
import { RowView } from "@/features/datasets/components/row-view";
import { useCreateDataset } from "@/features/datasets/queries";
import { plural } from "@/lib/format";
import classes from "./file-preview.module.css";

/** The first rows under a mapping, composed here so that a change of column shows at once. */
function compose(inspection: Inspection, mapping: Partial<Mapping>): RowContent[] {
  const suggested = inspection.mapping;
  const isSuggested =
    !suggested ||
    (mapping.question === suggested.question &&
      mapping.answer === suggested.answer &&
      (mapping.system ?? null) === (suggested.system ?? null));
  if (isSuggested && inspection.sample.length > 0) return inspection.sample;
  const values = (name: string | null | undefined) =>
    inspection.columns.find((column) => column.name === name)?.sample_values ?? [];
  const questions = values(mapping.question);
  const answers = values(mapping.answer);
  const systems = values(mapping.system);
  const length = Math.max(questions.length, answers.length);
  return Array.from({ length }, (_, index) => ({
    messages: [
      ...(mapping.system ? [{ role: "system" as const, content: systems[index] ?? "" }] : []),
      { role: "user" as const, content: questions[index] ?? "" },
      { role: "assistant" as const, content: answers[index] ?? "" },
    ],
  }));
}

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

function withoutEnding(filename: string): string {
  return filename.replace(/(\.[^.]+)?(\.(gz|zst|zip))?$/i, "") || filename;
}

interface FilePreviewProps {
  file: UploadedFile;
  inspection: Inspection;
  onOther: () => void;
}

export function FilePreview({ file, inspection, onOther }: FilePreviewProps) {
  const navigate = useNavigate();
  const create = useCreateDataset();
  const [name, setName] = useState(withoutEnding(file.filename));
  const [mapping, setMapping] = useState<Partial<Mapping>>(inspection.mapping ?? {});
  const hasColumns = inspection.columns.length > 0;
  const complete = completeMapping(mapping);
  const canUse = name.trim() !== "" && (!hasColumns || complete !== null);
  const use = () =>
    create.mutate(
      { file_id: file.id, name: name.trim(), ...(hasColumns && complete ? { mapping: complete } : {}) },
      {
        onSuccess: (dataset) =>
          void navigate({ to: "/data/$datasetId", params: { datasetId: dataset.id }, replace: true }),
      },
    );
  return (
    <div className={classes.preview}>
      <p className={classes.found}>
        {inspection.is_complete ? "" : "At least "}
        {plural(inspection.num_rows, "example")} in <strong>{file.filename}</strong>.{" "}
        {inspection.kind !== "chat" && ROW_KINDS[inspection.kind].sentence}
      </p>
      {inspection.notices.map((notice) => (
        <Notice key={notice.code} tone="quiet" title="How the file was read">
          {notice.text}
        </Notice>
      ))}
      {hasColumns && (
        <Section
          title="Which column is which"
          lead={
            inspection.mapping
              ? "We found these. Change one if it is wrong; the rows below follow."
              : "We could not tell. Choose the column with the questions and the one with the good answers."
          }
        >
          <MappingFields
            columns={inspection.columns.map((column) => column.name)}
            mapping={mapping}
            onChange={setMapping}
          />
          {mapping.question && mapping.question === mapping.answer && (
            <Notice tone="warn" title="Question and answer are the same column">
              Choose two different columns, or the model would learn to repeat what it is asked.
            </Notice>
          )}
        </Section>
      )}
      <Section {...PREVIEWS[inspection.kind]}>
        <ol className={classes.rows}>
          {compose(inspection, mapping).map((row, index) => (
            <li key={index}>
              <RowView row={row} showLearned />
            </li>
          ))}
        </ol>
      </Section>
      {inspection.num_problems > 0 && (
        <Section
          title={`${plural(inspection.num_problems, "thing")} to look at`}
          lead="You can go on: rows with an error are left out, the others are used."
        >
          <ProblemList problems={inspection.problems} total={inspection.num_problems} />
        </Section>
      )}
      {create.error && (
        <Notice tone="bad" title="The examples were not created">
          {messageOf(create.error)} Your file is kept.
        </Notice>
      )}
      <div className={classes.finish}>
        <TextInput
          label="Name of these examples"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          maxLength={100}
        />
        <Button onClick={use} disabled={!canUse} loading={create.isPending || create.isSuccess}>
          Use these examples
        </Button>
        <Button variant="subtle" onClick={onOther}>
          Choose another file
        </Button>
      </div>
    </div>
  );
}
