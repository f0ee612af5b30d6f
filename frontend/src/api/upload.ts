import { api, unwrap, writeHeaders } from "@/api/client";
import { toApiError, unreachable } from "@/api/errors";
import type { UploadedFile, UploadInParts, UploadPart } from "@/api/types";

/** A line that moves nothing for so long is broken, whatever the browser still hopes for. */
const SILENCE_MS = 45_000;
/** Once all is sent the server looks at it and stores it. */
const ANSWER_MS = 300_000;

function within(ms: number, signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
}

type OnSent = (bytes: number) => void;

/** What a file is for: examples are looked at as they arrive, other files are only kept. */
export type FilePurpose = "fine-tune" | "user_data";

/** Sends a small file in one request. The same `key` again gives the file that the first made. */
export function uploadFile(
  file: File,
  key: string,
  onSent: OnSent,
  signal: AbortSignal,
  purpose: FilePurpose = "fine-tune",
): Promise<UploadedFile> {
  const form = new FormData();
  form.set("purpose", purpose);
  form.set("file", file);
  return post<UploadedFile>("/v1/files", form, { "idempotency-key": key }, onSent, signal);
}

export function beginUpload(
  file: File,
  signal: AbortSignal,
  purpose: FilePurpose = "fine-tune",
): Promise<UploadInParts> {
  const body = {
    bytes: file.size,
    filename: file.name,
    mime_type: file.type || "application/octet-stream",
    purpose,
  };
  return unwrap<UploadInParts>(api.POST("/v1/uploads", { body, signal: within(SILENCE_MS, signal) }));
}

export function findUpload(id: string, signal: AbortSignal): Promise<UploadInParts> {
  return unwrap<UploadInParts>(
    api.GET("/v1/uploads/{upload_id}", {
      params: { path: { upload_id: id } },
      signal: within(SILENCE_MS, signal),
    }),
  );
}

export function sendPart(id: string, part: Blob, onSent: OnSent, signal: AbortSignal): Promise<UploadPart> {
  const form = new FormData();
  form.set("data", part);
  return post<UploadPart>(`/v1/uploads/${encodeURIComponent(id)}/parts`, form, {}, onSent, signal);
}

export function completeUpload(id: string, partIds: string[], signal: AbortSignal): Promise<UploadInParts> {
  return unwrap<UploadInParts>(
    api.POST("/v1/uploads/{upload_id}/complete", {
      params: { path: { upload_id: id } },
      body: { part_ids: partIds },
      signal: within(ANSWER_MS, signal),
    }),
  );
}

export function cancelUpload(id: string): Promise<unknown> {
  return unwrap<unknown>(api.POST("/v1/uploads/{upload_id}/cancel", { params: { path: { upload_id: id } } }));
}

/** XMLHttpRequest, because fetch cannot report how much has been sent. */
function post<T>(
  path: string,
  form: FormData,
  headers: Record<string, string>,
  onSent: OnSent,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(stopped());
      return;
    }
    const request = new XMLHttpRequest();
    const stop = () => {
      reject(stopped());
      request.abort();
    };
    const giveUp = () => {
      reject(unreachable());
      request.abort();
    };
    let patience = setTimeout(giveUp, SILENCE_MS);
    const waitFor = (ms: number) => {
      clearTimeout(patience);
      patience = setTimeout(giveUp, ms);
    };
    request.open("POST", path);
    for (const [name, value] of Object.entries({ ...writeHeaders(), ...headers }))
      request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      waitFor(event.loaded < event.total ? SILENCE_MS : ANSWER_MS);
      onSent(event.loaded);
    };
    request.upload.onload = () => waitFor(ANSWER_MS);
    request.onload = () => {
      const payload = parse(request.responseText);
      if (request.status >= 200 && request.status < 300) resolve(payload as T);
      else reject(toApiError(request.status, payload, request.getResponseHeader("x-request-id")));
    };
    request.onerror = () => reject(unreachable());
    request.onloadend = () => {
      clearTimeout(patience);
      signal.removeEventListener("abort", stop);
    };
    signal.addEventListener("abort", stop);
    request.send(form);
  });
}

function stopped(): DOMException {
  return new DOMException("Stopped", "AbortError");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
