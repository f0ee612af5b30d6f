import { useRef, useState } from "react";
import { uploadFile } from "@/api/upload";
import { Line } from "@/api/line";
import { IN_ONE_BYTES, sendInParts } from "@/api/send-in-parts";
import { useSession } from "@/features/session/queries";
import { newKey } from "@/lib/new-key";

export interface SendingFiles {
  /** 0 to 1, of all of them together. */
  fraction: number;
  /** The server cannot be reached; it is tried again and again. */
  isBroken: boolean;
}

/** Sends files one after the other, and can be stopped. */
export function useSendFiles() {
  // A place of their own among what is kept of unfinished uploads: they are no examples.
  const place = `models:${useSession().workspace.id}`;
  const stopper = useRef<AbortController | null>(null);
  const [sending, setSending] = useState<SendingFiles | null>(null);

  /** Their ids, in this order. Throws what the server says, or an AbortError once it is stopped. */
  const send = async (files: File[]): Promise<string[]> => {
    const controller = new AbortController();
    const { signal } = controller;
    stopper.current = controller;
    const total = Math.max(
      1,
      files.reduce((sum, file) => sum + file.size, 0),
    );
    const line = new Line(signal, (isBroken) => setSending((now) => now && { ...now, isBroken }));
    setSending({ fraction: 0, isBroken: false });
    let before = 0;
    const ids: string[] = [];
    try {
      for (const file of files) {
        const from = before;
        const onSent = (bytes: number) =>
          setSending(
            (now) => now && { ...now, fraction: Math.min(1, (from + Math.min(bytes, file.size)) / total) },
          );
        const key = newKey();
        const uploaded =
          file.size > IN_ONE_BYTES
            ? await sendInParts(file, { workspaceId: place, line, signal, onSent, purpose: "user_data" })
            : await line.through(() => uploadFile(file, key, onSent, signal, "user_data"));
        ids.push(uploaded.id);
        before += file.size;
      }
    } finally {
      setSending(null);
    }
    return ids;
  };
  return { send, stop: () => stopper.current?.abort(), sending };
}
