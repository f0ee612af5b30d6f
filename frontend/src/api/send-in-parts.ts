import { ApiError } from "@/api/errors";
import type { UploadedFile, UploadInParts } from "@/api/types";
import {
  beginUpload,
  cancelUpload,
  completeUpload,
  findUpload,
  sendPart,
  type FilePurpose,
} from "@/api/upload";
import { forgetUpload, keepUpload, keptUpload, type KeptUpload } from "@/api/kept-upload";
import type { Line } from "@/api/line";

/** Larger files go in parts, so that a line that breaks costs a part and not the file. */
export const IN_ONE_BYTES = 64 * 1024 * 1024;

export const PART_BYTES = 16 * 1024 * 1024;
const AT_ONCE = 3;

interface Way {
  workspaceId: string;
  line: Line;
  signal: AbortSignal;
  /** All bytes of the file that are there or on the wire, each time that it changes. */
  onSent: (bytes: number) => void;
  partBytes?: number;
  purpose?: FilePurpose;
}

/**
 * Sends a large file in parts, several at once. What arrived is remembered, so that the same file sent again, even by
 * another tab, sends only what is missing.
 */
export async function sendInParts(file: File, way: Way): Promise<UploadedFile> {
  const { workspaceId, line, signal } = way;
  const kept = (await resumed(file, way)) ?? (await begun(file, way));
  if (kept.done) return kept.done;
  const place = kept.place;
  try {
    await sendMissing(file, place, way);
    const partIds = cut(file.size, place.partBytes).map(({ index }) => place.parts[index] ?? "");
    const done = await line.through(() => completeUpload(place.uploadId, partIds, signal));
    forgetUpload(workspaceId, file);
    return fileOf(done);
  } catch (error) {
    // Refused for good: to send the same once more would end the same way.
    if (error instanceof ApiError && error.status >= 400 && error.status < 500 && !error.isSignedOut)
      await giveUp(workspaceId, file);
    throw error;
  }
}

/** Drops what arrived of a file, here and, if the line allows it, there; what cannot be told expires by itself. */
export async function giveUp(
  workspaceId: string,
  file: Pick<File, "name" | "size" | "lastModified">,
): Promise<void> {
  const kept = keptUpload(workspaceId, file);
  forgetUpload(workspaceId, file);
  if (kept) await cancelUpload(kept.uploadId).catch(() => undefined);
}

interface Found {
  place: KeptUpload;
  done: UploadedFile | null;
}

async function begun(
  file: File,
  { workspaceId, line, signal, partBytes = PART_BYTES, purpose }: Way,
): Promise<Found> {
  const { id } = await line.through(() => beginUpload(file, signal, purpose));
  const { name, size, lastModified } = file;
  const place: KeptUpload = { uploadId: id, name, size, lastModified, partBytes, parts: {} };
  keepUpload(workspaceId, place);
  return { place, done: null };
}

/** Where an earlier attempt at this file left off; null if there is none that can be gone on with. */
async function resumed(file: File, { workspaceId, line, signal }: Way): Promise<Found | null> {
  const kept = keptUpload(workspaceId, file);
  if (!kept) return null;
  let there: UploadInParts;
  try {
    there = await line.through(() => findUpload(kept.uploadId, signal));
  } catch (error) {
    if (!(error instanceof ApiError && error.isNotFound)) throw error;
    forgetUpload(workspaceId, file);
    return null;
  }
  const parts = await arrived(file, kept, there);
  const isWhole = Object.keys(parts).length === cut(file.size, kept.partBytes).length;
  if (there.status === "completed" && isWhole) {
    forgetUpload(workspaceId, file);
    return { place: kept, done: fileOf(there) };
  }
  if (there.status !== "pending") {
    forgetUpload(workspaceId, file);
    return null;
  }
  return { place: { ...kept, parts }, done: null };
}

/** The parts that are there and, where the browser can tell, are still what this file holds. */
async function arrived(file: File, kept: KeptUpload, there: UploadInParts): Promise<Record<number, string>> {
  const byId = new Map(there.parts.map((part) => [part.id, part]));
  const found: Record<number, string> = {};
  for (const { index, start, end } of cut(file.size, kept.partBytes)) {
    const part = byId.get(kept.parts[index] ?? "");
    if (part?.bytes !== end - start) continue;
    const digest = await sha256(file.slice(start, end));
    if (digest === null || digest === part.sha256) found[index] = part.id;
  }
  return found;
}

async function sendMissing(file: File, place: KeptUpload, way: Way): Promise<void> {
  const { workspaceId, line, onSent } = way;
  const all = cut(file.size, place.partBytes);
  const sent = new Map<number, number>();
  const tell = () => onSent([...sent.values()].reduce((sum, bytes) => sum + bytes, 0));
  for (const { index, start, end } of all) if (place.parts[index]) sent.set(index, end - start);
  tell();
  const missing = all.filter(({ index }) => !place.parts[index]);
  // One that is refused for good ends the others too.
  const others = new AbortController();
  const signal = AbortSignal.any([way.signal, others.signal]);
  const sendOne = async (index: number, start: number, end: number) => {
    const note = (bytes: number) => {
      sent.set(index, Math.min(bytes, end - start));
      tell();
    };
    const part = await line.through(() => {
      note(0);
      return sendPart(place.uploadId, file.slice(start, end), note, signal);
    });
    note(end - start);
    place.parts[index] = part.id;
    keepUpload(workspaceId, place);
  };
  const work = async () => {
    for (let next = missing.shift(); next; next = missing.shift())
      await sendOne(next.index, next.start, next.end);
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } catch (error) {
    others.abort();
    throw error;
  }
}

function cut(size: number, partBytes: number): { index: number; start: number; end: number }[] {
  return Array.from({ length: Math.ceil(size / partBytes) }, (_, index) => ({
    index,
    start: index * partBytes,
    end: Math.min((index + 1) * partBytes, size),
  }));
}

/** In hexadecimal; null where the browser offers no digests, as on a page without https. */
async function sha256(part: Blob): Promise<string | null> {
  // The types promise it everywhere; browsers only on secure pages.
  const subtle = window.crypto.subtle as SubtleCrypto | undefined;
  if (!subtle) return null;
  const digest = await subtle.digest("SHA-256", await part.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fileOf(upload: UploadInParts): UploadedFile {
  if (upload.file === null) throw new Error(`the upload ${upload.id} is completed and has no file`);
  return upload.file;
}
