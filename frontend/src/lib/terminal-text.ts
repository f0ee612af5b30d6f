// eslint-disable-next-line no-control-regex -- terminal colours begin with the escape character
const ESCAPES = /\u001B\[[0-9;?]*[A-Za-z]/g;

/** What a terminal would show in the end: without colours, and of a line written over itself only the last writing. */
export function terminalText(raw: string): string {
  return raw
    .replace(ESCAPES, "")
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => line.slice(line.replace(/\r+$/, "").lastIndexOf("\r") + 1).replace(/\r+$/, ""))
    .join("\n");
}
