import { NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { fromLocalInput, toLocalInput } from "@/lib/format";
import classes from "./knob-fields.module.css";
import marks from "./run-form.module.css";

export interface Schedule {
  startAfter: number | null;
  maxCostUsd: number | null;
  priority: number;
}

export const NO_SCHEDULE: Schedule = { startAfter: null, maxCostUsd: null, priority: 0 };

const PRIORITIES = [
  { value: "50", label: "Before my other runs" },
  { value: "0", label: "In order" },
  { value: "-50", label: "After my other runs" },
];

interface ScheduleFieldsProps {
  schedule: Schedule;
  onChange: (part: Partial<Schedule>) => void;
  /** The fields of the wire that differ from the run this one is a copy of. */
  differs?: object;
}

/** When a run may begin, how much it may cost, and which of one's runs goes first. */
export function ScheduleFields({ schedule, onChange, differs = {} }: ScheduleFieldsProps) {
  const priority = String(schedule.priority);
  const mark = (field: string) => (field in differs ? { className: marks.changed ?? "" } : {});
  const known = PRIORITIES.some((choice) => choice.value === priority);
  return (
    <div className={classes.fields}>
      <TextInput
        label="Start later"
        type="datetime-local"
        description="Your local time. Empty: as soon as a machine is free"
        value={schedule.startAfter === null ? "" : toLocalInput(schedule.startAfter)}
        onChange={(event) => onChange({ startAfter: fromLocalInput(event.currentTarget.value) })}
        {...mark("start_after")}
      />
      <NumberInput
        label="Spending limit"
        description="Reaching it, the run saves its place and pauses"
        prefix="$"
        placeholder="none"
        min={0}
        decimalScale={4}
        value={schedule.maxCostUsd ?? ""}
        onChange={(value) => onChange({ maxCostUsd: typeof value === "number" && value > 0 ? value : null })}
        {...mark("max_cost_usd")}
      />
      <NativeSelect
        label="Priority"
        description="Among the runs of your workspace that wait"
        value={priority}
        onChange={(event) => onChange({ priority: Number(event.currentTarget.value) })}
        data={known ? PRIORITIES : [...PRIORITIES, { value: priority, label: `As set: ${priority}` }]}
        {...mark("priority")}
      />
    </div>
  );
}
