import { Button, Checkbox, NativeSelect, TextInput } from "@mantine/core";
import { useRef, useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Model } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Stitches } from "@/components/ui/stitches";
import { useBringModel } from "@/features/models/import-queries";
import { bytes, percent } from "@/lib/format";
import { newKey } from "@/lib/new-key";
import classes from "./bring-form.module.css";
import { ENDINGS, mayProveBase, problemOf, wanted } from "./model-files";
import { useSendFiles, type SendingFiles } from "./use-send-files";

interface BringFormProps {
  bases: Model[];
  onBegun: (importId: string) => void;
}

/** The files of a model, what it is called, and on which base model it was trained. */
export function BringForm({ bases, onBegun }: BringFormProps) {
  const [files, setFiles] = useState<File[]>([]);
  const [name, setName] = useState("");
  const [base, setBase] = useState(bases[0]?.id ?? "");
  const [isSure, setSure] = useState(false);
  const [isSmall, setSmall] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [key, setKey] = useState(newKey);
  const { send, stop, sending } = useSendFiles();
  const bring = useBringModel();
  const isBusy = sending !== null || bring.isPending;

  const add = (added: File[]) => {
    const found = wanted(added);
    setProblem(found.length === 0 && added.length > 0 ? "None of these files belongs to a model." : null);
    const names = new Set(found.map((file) => file.name));
    setFiles((before) => [...before.filter((file) => !names.has(file.name)), ...found]);
  };
  const begin = async () => {
    const wrong = problemOf(files);
    setProblem(wrong);
    if (wrong) return;
    try {
      const fileIds = await send(files);
      const body = {
        file_ids: fileIds,
        name: name.trim(),
        base_model: base,
        confirm_base: isSure,
        quantization: isSmall ? ("nf4" as const) : null,
      };
      const made = await bring.mutateAsync({ body, key });
      onBegun(made.id);
    } catch (error) {
      setKey(newKey());
      const isStopped = error instanceof DOMException && error.name === "AbortError";
      setProblem(isStopped ? null : messageOf(error));
    }
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void begin();
  };
  if (sending) return <Sending sending={sending} onStop={stop} />;
  return (
    <form className={classes.form} onSubmit={submit}>
      {problem && (
        <Notice tone="bad" title="It was not brought">
          {problem}
        </Notice>
      )}
      <Files files={files} onAdd={add} onRemove={(gone) => setFiles(files.filter((file) => file !== gone))} />
      <TextInput
        label="Name"
        description="What it is called here."
        required
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <NativeSelect
        label="Base model"
        description="The one that it was trained on. On another it would talk nonsense."
        required
        data={bases.map((one) => ({ value: one.id, label: one.name }))}
        value={base}
        onChange={(event) => setBase(event.currentTarget.value)}
      />
      <Checkbox
        label="I know that it was trained on this base model."
        description={
          mayProveBase(files)
            ? "Not needed for a package of a Tailorbird, which proves it by itself."
            : "These files name a base model, but anybody can write anything there."
        }
        required={!mayProveBase(files)}
        checked={isSure}
        onChange={(event) => setSure(event.currentTarget.checked)}
      />
      <Checkbox
        label="The base model was held in 4 bits while it was trained."
        description="It is then used on the same small base here. If you do not know, leave it out."
        checked={isSmall}
        onChange={(event) => setSmall(event.currentTarget.checked)}
      />
      <div>
        <Button type="submit" loading={isBusy} disabled={files.length === 0}>
          Bring it
        </Button>
      </div>
    </form>
  );
}

interface FilesProps {
  files: File[];
  onAdd: (files: File[]) => void;
  onRemove: (file: File) => void;
}

function Files({ files, onAdd, onRemove }: FilesProps) {
  const input = useRef<HTMLInputElement>(null);
  const [isOver, setOver] = useState(false);
  return (
    // Dropping is a convenience for a mouse; the button inside does the same for everyone.
    <div
      className={classes.zone}
      data-over={isOver || undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        onAdd([...event.dataTransfer.files]);
      }}
    >
      <p className={classes.call}>Drop the files of the model</p>
      <p className={classes.hint}>
        <code>adapter_config.json</code> and <code>adapter_model.safetensors</code>, or one .zip with both.
      </p>
      {files.length > 0 && (
        <ul className={classes.files} aria-label="Chosen files">
          {files.map((file) => (
            <li key={file.name}>
              <span>
                {file.name}, {bytes(file.size)}
              </span>
              <Button
                variant="subtle"
                size="xs"
                aria-label={`Leave out ${file.name}`}
                onClick={() => onRemove(file)}
              >
                Leave out
              </Button>
            </li>
          ))}
        </ul>
      )}
      <Button variant="default" onClick={() => input.current?.click()}>
        {files.length === 0 ? "Choose files" : "Add files"}
      </Button>
      <input
        ref={input}
        type="file"
        multiple
        accept={ENDINGS}
        className="visually-hidden"
        aria-label="Files of the model"
        tabIndex={-1}
        onChange={(event) => {
          const added = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = "";
          onAdd(added);
        }}
      />
    </div>
  );
}

function Sending({ sending, onStop }: { sending: SendingFiles; onStop: () => void }) {
  return (
    <div className={classes.progress}>
      <Stitches fraction={sending.fraction} label="Sending the files" />
      <p className={classes.hint} role="status">
        {sending.isBroken
          ? "The server cannot be reached. This goes on by itself; leave the page open."
          : `${percent(sending.fraction)} sent. Leave the page open until all of it is.`}
      </p>
      <Button variant="default" onClick={onStop}>
        Stop
      </Button>
    </div>
  );
}
