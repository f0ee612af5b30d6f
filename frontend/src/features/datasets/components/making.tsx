import type { DatasetVersion } from "@/api/types";
import { Section } from "@/components/ui/page";
import { Stitches } from "@/components/ui/stitches";
import { changeWords } from "@/features/datasets/components/version-words";
import { percent } from "@/lib/format";

/** A version that is not there yet: a file that is being read, or changes that are being made. */
export function Making({ version }: { version: DatasetVersion }) {
  if (!version.changes) {
    return (
      <Section title="Reading your examples" lead="You can close this page; the work goes on.">
        <Stitches fraction={version.progress} label="Reading your examples" />
        <p>{percent(version.progress)} read</p>
      </Section>
    );
  }
  return (
    <Section
      title={`Making version ${version.number}`}
      lead={`${changeWords(version)}. All examples are checked again, for what is changed here may matter elsewhere. You can close this page; the work goes on.`}
    >
      <Stitches fraction={version.progress} label={`Making version ${version.number}`} />
      <p>{percent(version.progress)} done</p>
    </Section>
  );
}
