import { Button, Group, Menu, Modal, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Dataset, Inspection, Mapping } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { offerUndo, tellFailure } from "@/components/ui/notices";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { FirstRows } from "@/features/datasets/components/first-rows";
import { trimmed, wayOf, type Chosen } from "@/features/datasets/components/mapping";
import { MappingEditor } from "@/features/datasets/components/mapping-editor";
import { SheetChoice } from "@/features/datasets/components/sheet-choice";
import { useMappingDraft } from "@/features/datasets/components/use-mapping-draft";
import {
  fileQuery,
  useChangeMapping,
  useDeleteDataset,
  useRenameDataset,
  useRestoreDataset,
} from "@/features/datasets/queries";
import classes from "./file-preview.module.css";

type Open = "rename" | "columns" | null;

export function DatasetActions({ dataset }: { dataset: Dataset }) {
  const [open, setOpen] = useState<Open>(null);
  const navigate = useNavigate();
  const remove = useDeleteDataset();
  const restore = useRestoreDataset();
  const close = () => setOpen(null);
  const deleteIt = () =>
    remove.mutate(dataset.id, {
      onError: tellFailure,
      onSuccess: () => {
        void navigate({ to: "/data" });
        offerUndo(`“${dataset.name}” was deleted.`, () => restore.mutateAsync(dataset.id));
      },
    });
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default">More</Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => setOpen("rename")}>Rename</Menu.Item>
          {dataset.latest_version.mapping && (
            <Menu.Item onClick={() => setOpen("columns")}>Change the columns</Menu.Item>
          )}
          <Menu.Item onClick={deleteIt}>Delete</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal
        opened={open === "rename"}
        onClose={close}
        title="Rename"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <RenameForm dataset={dataset} onDone={close} />
      </Modal>
      <Modal
        opened={open === "columns"}
        onClose={close}
        size="lg"
        title="Change the columns"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <ColumnsForm dataset={dataset} onDone={close} />
      </Modal>
    </>
  );
}

interface FormProps {
  dataset: Dataset;
  onDone: () => void;
}

function RenameForm({ dataset, onDone }: FormProps) {
  const rename = useRenameDataset(dataset.id);
  const [name, setName] = useState(dataset.name);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    rename.mutate(name.trim(), { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit}>
      <TextInput
        label="Name"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        error={rename.error && messageOf(rename.error)}
        maxLength={100}
        required
        data-autofocus
      />
      <Group justify="flex-end" mt="lg">
        <Button type="submit" loading={rename.isPending}>
          Rename
        </Button>
      </Group>
    </form>
  );
}

function ColumnsForm({ dataset, onDone }: FormProps) {
  const file = useQuery(fileQuery(dataset.file_id));
  return (
    <QueryView query={file} what="the columns" skeleton={<SkeletonLines count={2} height={36} />}>
      {(loaded) =>
        loaded.inspection && (
          <ColumnsEditor dataset={dataset} inspection={loaded.inspection} onDone={onDone} />
        )
      }
    </QueryView>
  );
}

function ColumnsEditor({ dataset, inspection, onDone }: FormProps & { inspection: Inspection }) {
  const change = useChangeMapping(dataset.id);
  const now: Partial<Mapping> = dataset.latest_version.mapping ?? {};
  const way = wayOf(now);
  const hasColumns = Object.keys(trimmed(now, way)).length > 0;
  const [chosen, setChosen] = useState<Chosen>({
    sheet: now.sheet ?? null,
    choice: hasColumns ? { draft: now, way } : null,
  });
  const draft = useMappingDraft(dataset.file_id, inspection, chosen);
  const { preview, error, isStale, wanted, mapping } = draft;
  return (
    <div className={classes.preview}>
      <p>The examples are read again with the new columns. What you trained before keeps the old ones.</p>
      <SheetChoice
        sheets={draft.sheets}
        sheet={draft.sheet}
        proposed={inspection.sheet}
        onChange={(sheet) => setChosen({ sheet, choice: null })}
      />
      {draft.columns.length > 0 && (
        <MappingEditor
          {...draft.choice}
          columns={draft.columns}
          speakers={preview?.speakers ?? inspection.speakers}
          lead="Change one if it is wrong; the rows below follow."
          onChange={(choice) => setChosen({ sheet: chosen.sheet, choice })}
        />
      )}
      <FirstRows
        preview={preview}
        error={error}
        wanted={wanted}
        isStale={isStale}
        hasOtherSheets={draft.sheets.length > 1}
      />
      {change.error && (
        <Notice tone="bad" title="The columns were not changed">
          {messageOf(change.error)}
        </Notice>
      )}
      <Group justify="flex-end">
        <Button
          disabled={!mapping}
          loading={change.isPending}
          onClick={() => mapping && change.mutate(mapping, { onSuccess: onDone })}
        >
          Read them again
        </Button>
      </Group>
    </div>
  );
}
