import { writeHeaders } from "@/api/client";
import { toApiError, unreachable } from "@/api/errors";
import type { UploadedFile } from "@/api/types";

/** Sends one file. XMLHttpRequest, because fetch cannot report how much has been sent. */
export function uploadFile(
  file: File,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<UploadedFile> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/files");
    for (const [name, value] of Object.entries(writeHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      const payload = parse(request.responseText);
      if (request.status >= 200 && request.status < 300) resolve(payload as UploadedFile);
      else reject(toApiError(request.status, payload, request.getResponseHeader("x-request-id")));
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException("Stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.set("purpose", "fine-tune");
    form.set("file", file);
    request.send(form);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
