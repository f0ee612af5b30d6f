const KEY = "tailorbird:upload:";

/** What this browser knows of a file that is on its way in parts: enough to go on after a refresh or a closed tab. */
export interface KeptUpload {
  uploadId: string;
  name: string;
  size: number;
  lastModified: number;
  partBytes: number;
  /** Ids of the parts that arrived, by their place in the file. */
  parts: Record<number, string>;
}

type Fingerprint = Pick<File, "name" | "size" | "lastModified">;

export function keptUpload(workspaceId: string, file: Fingerprint): KeptUpload | null {
  return read(keyOf(workspaceId, file));
}

export function keepUpload(workspaceId: string, kept: KeptUpload): void {
  try {
    window.localStorage.setItem(keyOf(workspaceId, kept), JSON.stringify(kept));
  } catch {
    // A full or forbidden storage costs the place where it was, never the upload.
  }
}

export function forgetUpload(workspaceId: string, file: Fingerprint): void {
  try {
    window.localStorage.removeItem(keyOf(workspaceId, file));
  } catch {
    // As above.
  }
}

/** All that are on their way into this workspace. */
export function keptUploads(workspaceId: string): KeptUpload[] {
  try {
    const names = Object.keys(window.localStorage).filter((name) => name.startsWith(`${KEY}${workspaceId}:`));
    return names.map(read).filter((kept) => kept !== null);
  } catch {
    return [];
  }
}

function keyOf(workspaceId: string, { name, size, lastModified }: Fingerprint): string {
  return `${KEY}${workspaceId}:${size}:${lastModified}:${name}`;
}

function read(key: string): KeptUpload | null {
  try {
    return JSON.parse(window.localStorage.getItem(key) ?? "null") as KeptUpload | null;
  } catch {
    return null;
  }
}
