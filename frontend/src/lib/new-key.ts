/** A key that nobody had before. `crypto.randomUUID` is only there on secure pages, and ours may be served without. */
export function newKey(): string {
  const bytes = window.crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
