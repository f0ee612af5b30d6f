import { useCallback, useEffect, useState } from "react";

/** State that survives a refresh and a closed tab; `discard` ends it. */
export function useDraft<T extends object>(key: string, initial: () => T) {
  const storageKey = `tailorbird:draft:${key}`;
  const [draft, setDraft] = useState<T>(() => ({ ...initial(), ...read<T>(storageKey) }));
  const [isDiscarded, setDiscarded] = useState(false);

  useEffect(() => {
    if (!isDiscarded) write(storageKey, draft);
  }, [storageKey, draft, isDiscarded]);

  const change = useCallback((part: Partial<T>) => setDraft((before) => ({ ...before, ...part })), []);
  const discard = useCallback(() => {
    setDiscarded(true);
    window.localStorage.removeItem(storageKey);
  }, [storageKey]);
  return { draft, change, discard };
}

function read<T>(key: string): Partial<T> {
  try {
    return JSON.parse(window.localStorage.getItem(key) ?? "{}") as Partial<T>;
  } catch {
    return {};
  }
}

function write(key: string, value: unknown): void {
  try {
    window.localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A full or forbidden storage costs the draft, never the page.
  }
}
