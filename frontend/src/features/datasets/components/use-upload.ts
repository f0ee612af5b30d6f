import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import type { UploadedFile } from "@/api/types";
import { uploadFile } from "@/api/upload";
import { fileQuery } from "@/features/datasets/queries";

interface Sending {
  name: string;
  size: number;
  fraction: number;
}

/** One upload at a time: its progress, its refusal, and a way to stop it. */
export function useUpload(onDone: (file: UploadedFile) => void) {
  const client = useQueryClient();
  const stopper = useRef<AbortController | null>(null);
  const [sending, setSending] = useState<Sending | null>(null);
  const [refusal, setRefusal] = useState<{ name: string; error: unknown } | null>(null);

  const send = async (file: File) => {
    const controller = new AbortController();
    stopper.current = controller;
    setRefusal(null);
    setSending({ name: file.name, size: file.size, fraction: 0 });
    try {
      const uploaded = await uploadFile(
        file,
        (fraction) => setSending({ name: file.name, size: file.size, fraction }),
        controller.signal,
      );
      client.setQueryData(fileQuery(uploaded.id).queryKey, uploaded);
      onDone(uploaded);
    } catch (error) {
      if (!controller.signal.aborted) setRefusal({ name: file.name, error });
    } finally {
      setSending(null);
    }
  };
  return { send: (file: File) => void send(file), stop: () => stopper.current?.abort(), sending, refusal };
}
