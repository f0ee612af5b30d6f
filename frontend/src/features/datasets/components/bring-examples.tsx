import { Tabs } from "@mantine/core";
import type { UploadedFile } from "@/api/types";
import { DropZone } from "@/features/datasets/components/drop-zone";
import { ImportProgress } from "@/features/datasets/components/import-progress";
import { LinkPanel } from "@/features/datasets/components/link-panel";
import { PastePanel } from "@/features/datasets/components/paste-panel";
import { Refusal } from "@/features/datasets/components/refusal";
import { UnfinishedUploads } from "@/features/datasets/components/unfinished-uploads";
import { useUpload } from "@/features/datasets/components/use-upload";

const WAYS = ["file", "paste", "link"] as const;

interface BringExamplesProps {
  way: string | undefined;
  importId: string | undefined;
  onWay: (way: string | undefined) => void;
  onImport: (importId: string) => void;
  onFile: (file: UploadedFile) => void;
}

/** Three ways for examples to come in, of which the address of the page says which is open. */
export function BringExamples({ way, importId, onWay, onImport, onFile }: BringExamplesProps) {
  const upload = useUpload(onFile);
  if (importId)
    return <ImportProgress key={importId} id={importId} onDone={onFile} onOther={() => onWay("link")} />;
  const zone = <DropZone onFile={upload.send} upload={upload.sending} onStop={upload.stop} />;
  if (upload.sending) return zone;
  return (
    <>
      {upload.refusal && <Refusal name={upload.refusal.name} error={upload.refusal.error} />}
      <UnfinishedUploads />
      <Tabs
        value={WAYS.find((known) => known === way) ?? "file"}
        onChange={(next) => onWay(next && next !== "file" ? next : undefined)}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="file">Drop a file</Tabs.Tab>
          <Tabs.Tab value="paste">Paste</Tabs.Tab>
          <Tabs.Tab value="link">From a link or S3</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="file">{zone}</Tabs.Panel>
        <Tabs.Panel value="paste">
          <PastePanel onFile={upload.send} />
        </Tabs.Panel>
        <Tabs.Panel value="link">
          <LinkPanel onStarted={onImport} />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}
