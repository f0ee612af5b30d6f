import { Button, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import type { Inspection, UploadedFile } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { FirstRows } from "@/features/datasets/components/first-rows";
import { complete, parsed, written } from "@/features/datasets/components/mapping";
import { MappingEditor, type Choice } from "@/features/datasets/components/mapping-editor";
import { SHAPES } from "@/features/datasets/components/shapes";
import { useMappingDraft } from "@/features/datasets/components/use-mapping-draft";
import { useCreateDataset, useForgetMapping } from "@/features/datasets/queries";
import { plural } from "@/lib/format";
import classes from "./file-preview.module.css";

function withoutEnding(filename: string): string {
  return filename.replace(/(\.[^.]+)?(\.(gz|zst|zip))?$/i, "") || filename;
}

interface FilePreviewProps {
  file: UploadedFile;
  inspection: Inspection;
  /** What was chosen so far, as the address keeps it. */
  chosen: Record<string, unknown> | undefined;
  onChosen: (chosen: Record<string, unknown>) => void;
  onOther: () => void;
}

export function FilePreview({ file, inspection, chosen, onChosen, onOther }: FilePreviewProps) {
  const navigate = useNavigate();
  const create = useCreateDataset();
  const [name, setName] = useState(withoutEnding(file.filename));
  const hasColumns = inspection.columns.length > 0;
  const { choice, preview, error, isStale, wanted, rememberedId } = useMappingDraft(
    file.id,
    inspection,
    parsed(chosen),
  );
  const change = ({ draft, way }: Choice) => onChosen(written(draft, way));
  const mapping = complete(choice.draft, choice.way);
  const use = () =>
    create.mutate(
      { file_id: file.id, name: name.trim(), ...(hasColumns && mapping ? { mapping } : {}) },
      {
        onSuccess: (dataset) =>
          void navigate({ to: "/data/$datasetId", params: { datasetId: dataset.id }, replace: true }),
      },
    );
  return (
    <div className={classes.preview}>
      <p className={classes.found}>
        {inspection.is_complete ? "" : "At least "}
        {plural(inspection.num_records ?? inspection.num_rows, "row")} in <strong>{file.filename}</strong>.{" "}
        {inspection.shape && SHAPES[inspection.shape]}{" "}
        {!hasColumns && inspection.kind !== "chat" && ROW_KINDS[inspection.kind].sentence}
      </p>
      {inspection.notices.map((notice) => (
        <Notice key={notice.code} tone="quiet" title="How the file was read">
          {notice.text}
        </Notice>
      ))}
      {rememberedId && <Remembered id={rememberedId} />}
      {hasColumns && (
        <MappingEditor
          {...choice}
          inspection={inspection}
          speakers={preview?.speakers ?? inspection.speakers}
          lead={
            wanted
              ? "We could not tell all of it. Say what each column is."
              : "Change one if it is wrong; the rows below follow."
          }
          onChange={change}
        />
      )}
      <FirstRows preview={preview} error={error} wanted={wanted} isStale={isStale} />
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
        <Button
          onClick={use}
          disabled={name.trim() === "" || (hasColumns && mapping === null)}
          loading={create.isPending || create.isSuccess}
        >
          Use these examples
        </Button>
        <Button variant="subtle" onClick={onOther}>
          Choose another file
        </Button>
      </div>
    </div>
  );
}

function Remembered({ id }: { id: string }) {
  const forget = useForgetMapping();
  return (
    <Notice
      tone="quiet"
      title="These columns are as you chose them last time"
      action={
        <Button
          variant="default"
          size="compact-sm"
          loading={forget.isPending}
          onClick={() => forget.mutate(id, { onError: tellFailure })}
        >
          Forget that choice
        </Button>
      }
    >
      Someone in your workspace brought a file with the same column names before.
    </Notice>
  );
}
