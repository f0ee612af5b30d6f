import { useSyncExternalStore } from "react";

/** Admin pages look again this often. What is shown stays until the new answer is here, so nothing flickers. */
const EVERY_MS = 3000;

let isPaused = false;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function setPaused(next: boolean): void {
  isPaused = next;
  listeners.forEach((listener) => listener());
}

/** One switch for all admin pages: someone who reads a table holds it still and moves on to the next. */
export function useRefresh() {
  const paused = useSyncExternalStore(subscribe, () => isPaused);
  return {
    isPaused: paused,
    setPaused,
    options: { refetchInterval: paused ? (false as const) : EVERY_MS },
  };
}
