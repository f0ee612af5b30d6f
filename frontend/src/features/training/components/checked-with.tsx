import { NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Dataset, DatasetVersion, RowKind } from "@/api/types";
import { LeakageNotice } from "@/features/training/components/leakage-notice";
import { AS_BEFORE, HELD_BACK } from "@/features/training/components/run-draft";
import { leakageQuery } from "@/features/training/queries";
import { plural } from "@/lib/format";

interface CheckedWithProps {
  datasets: Dataset[];
  /** What is learned from. */
  dataset: Dataset | undefined;
  version: DatasetVersion | undefined;
  /** Whether the run that is copied was checked with other examples. */
  hasBefore: boolean;
  value: string;
  onChange: (value: string) => void;
  className?: string;
}

/** Others than those that are learned from, of the same kind. */
export function checkable(datasets: Dataset[], dataset: Dataset | undefined, kind: RowKind): Dataset[] {
  return datasets.filter((one) => one.id !== dataset?.id && one.latest_version.kind === kind);
}

export function CheckedWith({
  datasets,
  dataset,
  version,
  hasBefore,
  value,
  onChange,
  ...rest
}: CheckedWithProps) {
  const others = checkable(datasets, dataset, version?.kind ?? "chat");
  const chosen = others.find((one) => one.id === value);
  const isBefore = value === AS_BEFORE && hasBefore;
  if (others.length === 0 && !hasBefore) return null;
  return (
    <NativeSelect
      label="Check the result with"
      data={[
        { value: HELD_BACK, label: "A part of your examples" },
        ...(hasBefore ? [{ value: AS_BEFORE, label: "The examples of before" }] : []),
        ...others.map((one) => ({ value: one.id, label: one.name })),
      ]}
      value={chosen || isBefore ? value : HELD_BACK}
      onChange={(event) => onChange(event.currentTarget.value)}
      description={describe(version, chosen, isBefore)}
      {...rest}
    />
  );
}

function describe(version: DatasetVersion | undefined, chosen: Dataset | undefined, isBefore: boolean) {
  if (isBefore) return "As in the run that you copy";
  if (chosen) return plural(chosen.latest_version.num_rows, "example");
  return version ? `${plural(version.num_heldout, "example")}, held back and not learned` : "";
}

interface LeakageCheckProps {
  model: string;
  versionId: string | null;
  validationId: string | null;
  kind: RowKind;
}

/** Looks for examples in both before anything is started. */
export function LeakageCheck(props: LeakageCheckProps) {
  const rehearsal = useQuery(leakageQuery(props));
  if (props.validationId === null) return null;
  if (rehearsal.isPending) return <p role="status">Looking for examples that are in both …</p>;
  const leakage = rehearsal.data?.leakage;
  if (leakage && leakage.num_same + leakage.num_nearly > 0) return <LeakageNotice leakage={leakage} />;
  return (
    <p role="status">
      {leakage
        ? "No example is in both."
        : "Examples that are in both are looked for when the run begins, before it learns or costs anything."}
    </p>
  );
}
