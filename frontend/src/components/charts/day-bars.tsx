import { dayLabel } from "@/lib/format";
import classes from "./day-bars.module.css";

export interface DayValue {
  date: string;
  value: number;
  /** Said of the day beside its value. */
  note?: string;
}

interface DayBarsProps {
  /** One after the other, without gaps. */
  days: DayValue[];
  title: string;
  show: (value: number) => string;
  /** At least so many days wide, so that few days are no walls. */
  minDays?: number;
}

const WIDTH = 640;
const HEIGHT = 140;
const GAP = 3;

/** Every day of the month up to the last one given, so that quiet days are seen as quiet. */
export function wholeMonth(days: DayValue[]): DayValue[] {
  const known = new Map(days.map((day) => [day.date, day.value]));
  const last = days
    .map((day) => day.date)
    .sort()
    .at(-1);
  if (!last) return [];
  const month = last.slice(0, 8);
  return Array.from({ length: Number(last.slice(8)) }, (_, index) => {
    const date = `${month}${String(index + 1).padStart(2, "0")}`;
    return { date, value: known.get(date) ?? 0 };
  });
}

export function DayBars({ days, title, show, minDays = 14 }: DayBarsProps) {
  const top = Math.max(...days.map((day) => day.value), 0);
  const slot = WIDTH / Math.max(days.length, minDays);
  return (
    <figure className={classes.figure}>
      <figcaption>
        {title}
        <span>highest {show(top)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${title}, at most ${show(top)}`}>
        {days.map((day, index) => {
          const height = top === 0 ? 0 : Math.max(day.value > 0 ? 2 : 0, (day.value / top) * (HEIGHT - 4));
          return (
            <g key={day.date}>
              <title>{`${dayLabel(day.date)}: ${[show(day.value), day.note].filter(Boolean).join(", ")}`}</title>
              <rect x={index * slot} y={0} width={slot} height={HEIGHT} fill="transparent" />
              <rect
                className={classes.bar}
                x={index * slot + GAP / 2}
                y={HEIGHT - height}
                width={Math.max(1, slot - GAP)}
                height={height}
              />
            </g>
          );
        })}
        <path d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} className={classes.ground} />
      </svg>
      <div className={classes.ends}>
        <span>{days[0] && dayLabel(days[0].date)}</span>
        <span>{days.at(-1) && dayLabel(days.at(-1)?.date ?? "")}</span>
      </div>
    </figure>
  );
}
