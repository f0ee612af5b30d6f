import { Button } from "@mantine/core";
import { useState } from "react";
import type { FilePreviewBody } from "@/api/types";
import type { Draft } from "@/features/datasets/components/mapping";
import { plural } from "@/lib/format";
import classes from "./column-roles.module.css";

type Speaker = FilePreviewBody["speakers"][number];
type Side = "customer" | "ours" | "ignored";

const SIDES: { side: Side; label: string }[] = [
  { side: "customer", label: "Asks" },
  { side: "ours", label: "On our side" },
  { side: "ignored", label: "Leave out" },
];
const SHOWN = 8;

interface SpeakerSidesProps {
  speakers: Speaker[];
  draft: Draft;
  onChange: (draft: Draft) => void;
}

/** Who of those who speak answers for the house: their words are what is learned. */
export function SpeakerSides({ speakers, draft, onChange }: SpeakerSidesProps) {
  const [isAll, setAll] = useState(false);
  const ours = draft.assistant_speakers ?? [];
  const ignored = draft.ignored_speakers ?? [];
  const known = withChosen(byDomain(speakers), [...ours, ...ignored]);
  const shown = isAll ? known : known.slice(0, SHOWN);
  const put = (value: string, side: Side) =>
    onChange({
      ...draft,
      assistant_speakers: side === "ours" ? [...without(ours, value), value] : without(ours, value),
      ignored_speakers: side === "ignored" ? [...without(ignored, value), value] : without(ignored, value),
    });
  return (
    <div className={classes.columns}>
      {shown.map((speaker) => {
        const side = has(ours, speaker.value) ? "ours" : has(ignored, speaker.value) ? "ignored" : "customer";
        return (
          <fieldset key={speaker.value} className={classes.column} data-used={side === "ours" || undefined}>
            <legend className="visually-hidden">{speaker.value}</legend>
            <div className={classes.about}>
              <strong>{speaker.value.startsWith("@") ? `Everyone ${speaker.value}` : speaker.value}</strong>
              <ul className={classes.values}>
                <li>
                  {speaker.num_messages > 0
                    ? plural(speaker.num_messages, "message")
                    : "none in the rows looked at"}
                </li>
              </ul>
            </div>
            <div className={classes.choices}>
              {SIDES.map((choice) => (
                <label key={choice.side} className={classes.choice}>
                  <input
                    type="radio"
                    name={`side of ${speaker.value}`}
                    checked={side === choice.side}
                    onChange={() => put(speaker.value, choice.side)}
                  />
                  <span>{choice.label}</span>
                </label>
              ))}
            </div>
          </fieldset>
        );
      })}
      {shown.length < known.length && (
        <Button variant="subtle" size="compact-sm" onClick={() => setAll(true)}>
          Show {plural(known.length - shown.length, "more")}
        </Button>
      )}
    </div>
  );
}

function has(values: string[], value: string): boolean {
  return values.some((one) => one.toLowerCase() === value.toLowerCase());
}

function without(values: string[], value: string): string[] {
  return values.filter((one) => one.toLowerCase() !== value.toLowerCase());
}

/** Addresses are many; what tells sides apart is the part after the @. */
function byDomain(speakers: Speaker[]): Speaker[] {
  const addresses = speakers.filter(({ value }) => /@[^@\s]+\.[^@\s]+$/.test(value.replace(/>$/, "")));
  if (addresses.length < speakers.length * 0.8) return speakers;
  const counts = new Map<string, number>();
  for (const { value, num_messages } of speakers) {
    const domain = `@${value.replace(/>$/, "").split("@").at(-1)?.toLowerCase() ?? ""}`;
    counts.set(domain, (counts.get(domain) ?? 0) + num_messages);
  }
  return [...counts].map(([value, num_messages]) => ({ value, num_messages }));
}

/** Those that were chosen are shown even if the rows that were looked at have none of them. */
function withChosen(speakers: Speaker[], chosen: string[]): Speaker[] {
  const values = speakers.map(({ value }) => value);
  const others = chosen.filter((value) => !has(values, value));
  return [...others.map((value) => ({ value, num_messages: 0 })), ...speakers];
}
