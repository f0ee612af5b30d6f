import { ApiError, messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";

function text(value: unknown): string | null {
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}

/** Why a file was not taken: where, why, and how to mend it. */
export function Refusal({ name, error }: { name: string; error: unknown }) {
  const details = error instanceof ApiError ? (error.body.details ?? {}) : {};
  const row = text(details.row);
  const column = text(details.column);
  const cause = text(details.cause) ?? messageOf(error);
  const fix = text(details.fix);
  const where = [row && `row ${row}`, column && `column “${column}”`].filter(Boolean).join(", ");
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
