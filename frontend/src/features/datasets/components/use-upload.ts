import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import type { UploadedFile } from "@/api/types";
import { uploadFile } from "@/api/upload";
import { Line } from "@/api/line";
import { giveUp, IN_ONE_BYTES, sendInParts } from "@/api/send-in-parts";
import { fileQuery } from "@/features/datasets/queries";
import { useSession } from "@/features/session/queries";
import { newKey } from "@/lib/new-key";

export interface Sending {
  name: string;
  size: number;
  fraction: number;
  /** The server cannot be reached; it is tried again and again. */
  isBroken: boolean;
  isInParts: boolean;
}

/** One upload at a time: its progress, its refusal, and a way to stop it. */
export function useUpload(onDone: (file: UploadedFile) => void) {
  const client = useQueryClient();
  const workspaceId = useSession().workspace.id;
  const stopper = useRef<AbortController | null>(null);
  const [sending, setSending] = useState<Sending | null>(null);
  const [refusal, setRefusal] = useState<{ name: string; error: unknown } | null>(null);

  const send = async (file: File) => {
    const controller = new AbortController();
    const { signal } = controller;
    stopper.current = controller;
    const isInParts = file.size > IN_ONE_BYTES;
    const change = (part: Partial<Sending>) => setSending((now) => now && { ...now, ...part });
    const onSent = (bytes: number) => change({ fraction: Math.min(1, bytes / Math.max(1, file.size)) });
    const line = new Line(signal, (isBroken) => change({ isBroken }));
    setRefusal(null);
    setSending({ name: file.name, size: file.size, fraction: 0, isBroken: false, isInParts });
    try {
      const key = newKey();
      const uploaded = isInParts
        ? await sendInParts(file, { workspaceId, line, signal, onSent })
        : await line.through(() => uploadFile(file, key, onSent, signal));
      client.setQueryData(fileQuery(uploaded.id).queryKey, uploaded);
      onDone(uploaded);
    } catch (error) {
      if (!signal.aborted) setRefusal({ name: file.name, error });
      else if (isInParts) await giveUp(workspaceId, file);
    } finally {
      setSending(null);
    }
  };
  return { send: (file: File) => void send(file), stop: () => stopper.current?.abort(), sending, refusal };
}
