import { Button, NativeSelect, NumberInput, Popover, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState, type KeyboardEvent, type RefObject } from "react";
import type { DatasetVersion, RowFilter, RowOrder } from "@/api/types";
import { tagsQuery } from "@/features/datasets/rows/row-queries";
import { numHidden, tidy, type RowsWanted } from "@/features/datasets/rows/wanted";
import { count } from "@/lib/format";
import classes from "./rows-toolbar.module.css";

const TYPING_MS = 300;

const FILTERS: { value: RowFilter; label: string }[] = [
  { value: "all", label: "All examples" },
  { value: "train", label: "Learned from" },
  { value: "heldout", label: "Held back" },
  { value: "problems", label: "With problems" },
  { value: "edited", label: "Edited" },
  { value: "excluded", label: "Left out by somebody" },
  { value: "left_out", label: "Not used at all" },
];
const ORDERS: { value: RowOrder; label: string }[] = [
  { value: "number", label: "As in the file" },
  { value: "-number", label: "Last ones first" },
  { value: "num_tokens", label: "Shortest first" },
  { value: "-num_tokens", label: "Longest first" },
];

interface RowsToolbarProps {
  versionId: string;
  version: DatasetVersion;
  wanted: RowsWanted;
  searchRef: RefObject<HTMLInputElement | null>;
  onChange: (wanted: RowsWanted) => void;
  onGoTo: (number: number) => void;
  onLeave: () => void;
}

/** Which examples, in which order; everything of it stands in the address. */
export function RowsToolbar(props: RowsToolbarProps) {
  const { wanted, onChange, searchRef } = props;
  const change = (part: RowsWanted) => onChange(tidy({ ...wanted, ...part }));
  return (
    <div className={classes.toolbar} role="search" aria-label="Which examples">
      <SearchBox
        key={wanted.q === undefined ? "empty" : "used"}
        q={wanted.q ?? ""}
        inputRef={searchRef}
        onSearch={(q) => change({ q })}
        onLeave={props.onLeave}
      />
      <NativeSelect
        aria-label="Show"
        data={FILTERS}
        value={wanted.filter ?? "all"}
        onChange={(event) => change({ filter: event.currentTarget.value as RowFilter })}
      />
      <NativeSelect
        aria-label="Order"
        data={ORDERS}
        value={wanted.order ?? "number"}
        onChange={(event) => change({ order: event.currentTarget.value as RowOrder })}
      />
      <MoreFilters {...props} />
      <GoTo onGoTo={props.onGoTo} />
    </div>
  );
}

interface SearchBoxProps {
  q: string;
  inputRef: RefObject<HTMLInputElement | null>;
  onSearch: (q: string) => void;
  onLeave: () => void;
}

function SearchBox({ q, inputRef, onSearch, onLeave }: SearchBoxProps) {
  const [typed, setTyped] = useState(q);
  const [settled] = useDebouncedValue(typed, TYPING_MS);
  useEffect(() => {
    if (settled !== q) onSearch(settled);
    // The address follows the settled words; it must not answer its own change.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [settled]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && typed !== "") setTyped("");
    else if (["Escape", "Enter", "ArrowDown"].includes(event.key)) {
      event.preventDefault();
      onLeave();
    }
  };
  return (
    <TextInput
      ref={inputRef}
      className={classes.search ?? ""}
      type="search"
      aria-label="Search the examples"
      placeholder="Search (press /)"
      value={typed}
      onChange={(event) => setTyped(event.currentTarget.value)}
      onKeyDown={onKeyDown}
    />
  );
}

/** What is asked for less often, in a box of its own. */
function MoreFilters({ versionId, version, wanted, onChange }: RowsToolbarProps) {
  const [isOpen, setOpen] = useState(false);
  const tags = useQuery({ ...tagsQuery(versionId), enabled: isOpen || wanted.tag !== undefined });
  const change = (part: RowsWanted) => onChange(tidy({ ...wanted, ...part }));
  const findings = version.health.findings.filter((finding) => finding.can_be_listed);
  const inUse = numHidden(wanted);
  const length = (value: number | string) => (typeof value === "number" ? value : undefined);
  return (
    <Popover opened={isOpen} onChange={setOpen} position="bottom-end" shadow="md" trapFocus returnFocus>
      <Popover.Target>
        <Button variant="default" onClick={() => setOpen(!isOpen)}>
          {inUse > 0 ? `Filters (${inUse})` : "Filters"}
        </Button>
      </Popover.Target>
      <Popover.Dropdown className={classes.filters ?? ""}>
        <NativeSelect
          label="What was found in them"
          data={[
            { value: "", label: "Anything or nothing" },
            ...findings.map((finding) => ({
              value: finding.code,
              label: `${wordOf(finding.code)} (${count(finding.count)})`,
            })),
          ]}
          value={wanted.finding ?? ""}
          onChange={(event) => change({ finding: event.currentTarget.value })}
        />
        <NativeSelect
          label="Tag"
          data={[
            { value: "", label: tags.isPending && isOpen ? "Looking for tags …" : "Any or none" },
            ...tagOptions(tags.data?.tags ?? [], wanted.tag),
          ]}
          value={wanted.tag ?? ""}
          onChange={(event) => change({ tag: event.currentTarget.value })}
        />
        <div className={classes.pair}>
          <NumberInput
            label="Length from"
            description="in tokens, about ¾ of a word each"
            min={0}
            value={wanted.min ?? ""}
            onChange={(value) => onChange(tidy(withLength(wanted, { min: length(value) })))}
          />
          <NumberInput
            label="to"
            description="or longer if left empty"
            min={0}
            value={wanted.max ?? ""}
            onChange={(value) => onChange(tidy(withLength(wanted, { max: length(value) })))}
          />
        </div>
        <Button variant="subtle" disabled={inUse === 0} onClick={() => onChange(tidy(without(wanted)))}>
          Without these
        </Button>
      </Popover.Dropdown>
    </Popover>
  );
}

function withLength({ min, max, ...rest }: RowsWanted, part: Length): RowsWanted {
  const length = { min, max, ...part };
  return {
    ...rest,
    ...(length.min === undefined ? {} : { min: length.min }),
    ...(length.max === undefined ? {} : { max: length.max }),
  };
}

interface Length {
  min?: number | undefined;
  max?: number | undefined;
}

function without({ q, filter, order }: RowsWanted): RowsWanted {
  return { q: q ?? "", filter: filter ?? "all", order: order ?? "number" };
}

function tagOptions(tags: { tag: string; num_rows: number }[], chosen: string | undefined) {
  const known = tags.map(({ tag, num_rows }) => ({ value: tag, label: `${tag} (${count(num_rows)})` }));
  const isKnown = chosen === undefined || tags.some(({ tag }) => tag === chosen);
  return isKnown ? known : [{ value: chosen, label: chosen }, ...known];
}

export function wordOf(code: string): string {
  const words = code.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function GoTo({ onGoTo }: { onGoTo: (number: number) => void }) {
  const [number, setNumber] = useState<number | string>("");
  return (
    <form
      className={classes.goto}
      onSubmit={(event) => {
        event.preventDefault();
        if (typeof number === "number") onGoTo(number);
      }}
    >
      <NumberInput
        aria-label="Go to example number"
        placeholder="Go to no."
        hideControls
        allowDecimal={false}
        allowNegative={false}
        thousandSeparator=","
        value={number}
        onChange={setNumber}
      />
      <Button type="submit" variant="default" disabled={typeof number !== "number"}>
        Go
      </Button>
    </form>
  );
}
