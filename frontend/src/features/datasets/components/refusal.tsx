import { ApiError, messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";

function text(value: unknown): string | null {
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}

/** Nothing is wrong with the file, as far as anybody knows. */
function isTrouble(error: unknown): boolean {
  return !(error instanceof ApiError) || error.status >= 500 || error.status === 429 || error.isSignedOut;
}

/** Why a file was not taken: where, why, and how to mend it. */
export function Refusal({ name, error }: { name: string; error: unknown }) {
  const details = error instanceof ApiError ? (error.body.details ?? {}) : {};
  const row = text(details.row);
  const column = text(details.column);
  const cause = text(details.cause) ?? messageOf(error);
  const fix = text(details.fix);
  const where = [row && `row ${row}`, column && `column “${column}”`].filter(Boolean).join(", ");
  if (isTrouble(error))
    return (
      <Notice tone="bad" title={`“${name}” has not arrived`}>
        <p>{messageOf(error)}</p>
        <p>Choose it once more. Of a large file only what is missing is sent.</p>
      </Notice>
    );
  return (
    <Notice tone="bad" title={`“${name}” was not taken`}>
      <p>
        {where && <>At {where}: </>}
        {cause}
      </p>
      {fix && <p>What to do: {fix}</p>}
      <p>Nothing was kept and nothing else changed. Mend the file and drop it here again.</p>
    </Notice>
  );
}
