import { Button, Group, Modal, NumberInput, Radio, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { DatasetVersion } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { tagsQuery } from "@/features/datasets/rows/row-queries";
import { useResplit, type SplitStrategy } from "@/features/datasets/version-queries";
import { percent, plural } from "@/lib/format";

const MAX_PERCENT = 50;

const CHOICES: { strategy: SplitStrategy; label: string; hint: string }[] = [
  {
    strategy: "random",
    label: "By chance",
    hint: "Right for most. The same examples always give the same choice.",
  },
  {
    strategy: "by_time",
    label: "By date: the newest",
    hint: "The model is checked as it will be used: on what came after everything that it learned.",
  },
  { strategy: "last", label: "The end of the file", hint: "For rows that stand in the order of time." },
  {
    strategy: "by_answer",
    label: "Some of each answer",
    hint: "For answers that are labels, such as yes and no.",
  },
  { strategy: "by_tag", label: "Some of each tag", hint: "For examples that you have tagged." },
];

const NO_DATES =
  "No example has a date. If the file has a column with it, choose that one: More, Change the columns.";
const NO_TAGS = "No example has a tag. To give some one: See all examples, choose them, Tag, and save.";

/** Which examples are set aside to check the result, and how to choose others. */
export function HeldBack({ version, canChange }: { version: DatasetVersion; canChange: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const share = version.num_rows > 0 ? version.num_heldout / version.num_rows : 0;
  return (
    <Section
      title="What is held back"
      lead={`${plural(version.num_heldout, "example")}, ${percent(share)} of all, ${version.num_heldout === 1 ? "is" : "are"} not learned. The result is checked with them, so that it is honest.`}
      actions={
        canChange && (
          <Button size="compact-sm" variant="default" onClick={() => setOpen(true)}>
            Choose others
          </Button>
        )
      }
    >
      <Modal
        opened={isOpen}
        onClose={() => setOpen(false)}
        title="Which examples are held back?"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <ResplitForm version={version} share={share} onDone={() => setOpen(false)} />
      </Modal>
    </Section>
  );
}

interface ResplitFormProps {
  version: DatasetVersion;
  share: number;
  onDone: () => void;
}

function ResplitForm({ version, share, onDone }: ResplitFormProps) {
  const resplit = useResplit(version.id);
  const choices = useChoices(version);
  const [strategy, setStrategy] = useState<SplitStrategy>("random");
  const [size, setSize] = useState<number | string>(
    Math.min(Math.max(Math.round(share * 100), 1), MAX_PERCENT),
  );
  const isSize = typeof size === "number" && size >= 1 && size <= MAX_PERCENT;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (isSize) resplit.mutate({ strategy, fraction: size / 100 }, { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Radio.Group
          label="How to choose them"
          value={strategy}
          onChange={(value) => setStrategy(value as SplitStrategy)}
        >
          <Stack gap="sm" mt="xs">
            {choices.map((choice) => (
              <Radio
                key={choice.strategy}
                value={choice.strategy}
                label={choice.label}
                description={choice.missing ?? choice.hint}
                disabled={choice.missing !== null}
              />
            ))}
          </Stack>
        </Radio.Group>
        <NumberInput
          label="How many, in percent"
          value={size}
          onChange={setSize}
          min={1}
          max={MAX_PERCENT}
          allowDecimal={false}
          error={isSize ? null : `From 1 to ${MAX_PERCENT}.`}
        />
        {resplit.error && (
          <Notice tone="bad" title="Nothing was changed">
            {messageOf(resplit.error)}
          </Notice>
        )}
        <p>A new version is made. What was trained before keeps the one it learned from.</p>
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onDone}>
            Cancel
          </Button>
          <Button type="submit" loading={resplit.isPending} disabled={!isSize}>
            Hold these back
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** Every way that these examples have, and why one cannot be taken. */
function useChoices(version: DatasetVersion) {
  const tags = useQuery(tagsQuery(version.id));
  const hasTags = tags.data === undefined || tags.data.tags.length > 0;
  // a text is no answer to anything
  const fitting = CHOICES.filter(({ strategy }) => strategy !== "by_answer" || version.kind !== "text");
  return fitting.map((choice) => ({
    ...choice,
    hint: choice.strategy === "by_time" ? datesOf(version, choice.hint) : choice.hint,
    missing:
      choice.strategy === "by_time" && version.num_dated === 0
        ? NO_DATES
        : choice.strategy === "by_tag" && !hasTags
          ? NO_TAGS
          : null,
  }));
}

function datesOf({ num_dated: dated, num_rows: all }: DatasetVersion, hint: string): string {
  if (dated === all) return hint;
  const undated = all - dated;
  return `${hint} ${plural(undated, "example")} without a date that can be read ${undated === 1 ? "is" : "are"} learned from.`;
}
