import { Button, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import type { Inspection, UploadedFile } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { FirstRows } from "@/features/datasets/components/first-rows";
import { parsed, written } from "@/features/datasets/components/mapping";
import { MappingEditor } from "@/features/datasets/components/mapping-editor";
import { SheetChoice } from "@/features/datasets/components/sheet-choice";
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
  const kept = parsed(chosen);
  const draft = useMappingDraft(file.id, inspection, kept);
  const { looked, columns, mapping, preview, wanted, sheets, sheet } = draft;
  const hasColumns = columns.length > 0;
  const use = () =>
    create.mutate(
      { file_id: file.id, name: name.trim(), ...(mapping ? { mapping } : {}) },
      {
        onSuccess: (dataset) =>
          void navigate({ to: "/data/$datasetId", params: { datasetId: dataset.id }, replace: true }),
      },
    );
  return (
    <div className={classes.preview}>
      {looked && (
        <p className={classes.found}>
          {looked.is_complete ? "" : "At least "}
          {plural(looked.num_records ?? looked.num_rows, "row")} in <strong>{file.filename}</strong>.{" "}
          {looked.shape && SHAPES[looked.shape]}{" "}
          {!hasColumns && looked.kind !== "chat" && ROW_KINDS[looked.kind].sentence}
        </p>
      )}
      {inspection.notices
        // the choice itself says so
        .filter((notice) => notice.code !== "sheet_chosen" || sheets.length < 2)
        .map((notice) => (
          <Notice key={notice.code} tone="quiet" title="How the file was read">
            {notice.text}
          </Notice>
        ))}
      <SheetChoice
        sheets={sheets}
        sheet={sheet}
        proposed={inspection.sheet}
        onChange={(other) => onChosen(written({ sheet: other, choice: null }))}
      />
      {draft.rememberedId && <Remembered id={draft.rememberedId} />}
      {hasColumns && (
        <MappingEditor
          {...draft.choice}
          columns={columns}
          speakers={preview?.speakers ?? looked?.speakers ?? []}
          lead={
            wanted
              ? "We could not tell all of it. Say what each column is."
              : "Change one if it is wrong; the rows below follow."
          }
          onChange={(choice) => onChosen(written({ sheet: kept.sheet, choice }))}
        />
      )}
      <FirstRows
        preview={preview}
        error={draft.error}
        wanted={wanted}
        isStale={draft.isStale}
        hasOtherSheets={sheets.length > 1}
      />
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
          disabled={name.trim() === "" || mapping === null}
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
