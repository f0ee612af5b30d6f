import { Button, PasswordInput, SegmentedControl, TextInput } from "@mantine/core";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import type { ImportFile } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import classes from "@/features/datasets/components/bring-examples.module.css";
import { useImportFile } from "@/features/datasets/queries";

const NOTHING = { url: "", bucket: "", key: "", endpoint: "", region: "", accessKeyId: "", secret: "" };
type Fields = typeof NOTHING;

function bodyOf(fields: Fields, isS3: boolean): ImportFile {
  if (!isS3) return { url: fields.url.trim(), purpose: "fine-tune" };
  return {
    purpose: "fine-tune",
    s3: {
      bucket: fields.bucket.trim(),
      key: fields.key.trim(),
      access_key_id: fields.accessKeyId.trim(),
      secret_access_key: fields.secret,
      ...(fields.endpoint.trim() ? { endpoint_url: fields.endpoint.trim() } : {}),
      ...(fields.region.trim() ? { region: fields.region.trim() } : {}),
    },
  };
}

/** Where a file is that our side is to fetch. Keys are sent once, and live nowhere but in this form. */
export function LinkPanel({ onStarted }: { onStarted: (importId: string) => void }) {
  const [fields, setFields] = useState(NOTHING);
  const [isS3, setS3] = useState(false);
  const start = useImportFile();
  const needed = isS3 ? [fields.bucket, fields.key, fields.accessKeyId, fields.secret] : [fields.url];
  const isComplete = needed.every((value) => value.trim() !== "");
  const field = (name: keyof Fields) => ({
    value: fields[name],
    onChange: (event: { currentTarget: HTMLInputElement }) => {
      const { value } = event.currentTarget;
      setFields((before) => ({ ...before, [name]: value }));
    },
    autoComplete: "off",
    spellCheck: false,
  });
  return (
    <form
      className={classes.panel}
      onSubmit={(event) => {
        event.preventDefault();
        if (isComplete) start.mutate(bodyOf(fields, isS3), { onSuccess: ({ id }) => id && onStarted(id) });
      }}
    >
      <SegmentedControl
        aria-label="Where the file is"
        value={isS3 ? "s3" : "url"}
        onChange={(value) => setS3(value === "s3")}
        data={[
          { value: "url", label: "At a link" },
          { value: "s3", label: "In S3" },
        ]}
      />
      {isS3 ? (
        <div className={classes.fields}>
          <TextInput label="Bucket" {...field("bucket")} />
          <TextInput label="File" placeholder="folder/examples.csv" {...field("key")} />
          <TextInput label="Access key" {...field("accessKeyId")} />
          <PasswordInput
            label="Secret key"
            description="Used once, to open this one file. It is not kept."
            {...field("secret")}
          />
          <TextInput
            label="Address of the store"
            description="Only if it is not Amazon’s."
            placeholder="https://s3.example.com"
            {...field("endpoint")}
          />
          <TextInput label="Region" description="Only if the store asks for one." {...field("region")} />
        </div>
      ) : (
        <TextInput
          label="Link to the file"
          description="One that begins a download. It must work without signing in."
          placeholder="https://example.com/examples.csv"
          type="url"
          {...field("url")}
        />
      )}
      {start.isError && (
        <Notice tone="bad" title="It cannot be fetched from there">
          <p>{messageOf(start.error)}</p>
        </Notice>
      )}
      <Button type="submit" disabled={!isComplete} loading={start.isPending}>
        Fetch it
      </Button>
    </form>
  );
}
