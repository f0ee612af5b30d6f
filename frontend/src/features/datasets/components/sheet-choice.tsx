import { NativeSelect } from "@mantine/core";

interface SheetChoiceProps {
  sheets: string[];
  sheet: string | null;
  /** The one that was proposed. */
  proposed: string | null | undefined;
  onChange: (sheet: string) => void;
}

/** Which sheet of a workbook is read; nothing where there is no choice. */
export function SheetChoice({ sheets, sheet, proposed, onChange }: SheetChoiceProps) {
  if (sheets.length < 2) return null;
  return (
    <NativeSelect
      maw="var(--measure)"
      label="Which sheet of the workbook"
      description={
        sheet === proposed
          ? "This is the first that can hold examples. Hidden sheets are not read."
          : "Every sheet has its own columns. Hidden sheets are not read."
      }
      data={sheets}
      value={sheet ?? ""}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
