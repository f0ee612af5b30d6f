import { dayLabel, money } from "@/lib/format";
import classes from "./day-bars.module.css";

export interface DayAmount {
  date: string;
  usd: number;
}

const WIDTH = 640;
const HEIGHT = 140;
const GAP = 3;

/** Every day of the month up to the last one shown, so that quiet days are seen as quiet. */
function fill(days: DayAmount[]): DayAmount[] {
  const known = new Map(days.map((day) => [day.date, day.usd]));
  const last = days
    .map((day) => day.date)
    .sort()
    .at(-1);
  if (!last) return [];
  const month = last.slice(0, 8);
  return Array.from({ length: Number(last.slice(8)) }, (_, index) => {
    const date = `${month}${String(index + 1).padStart(2, "0")}`;
    return { date, usd: known.get(date) ?? 0 };
  });
}

export function DayBars({ days }: { days: DayAmount[] }) {
  const filled = fill(days);
  const top = Math.max(...filled.map((day) => day.usd), 0);
  const slot = WIDTH / Math.max(filled.length, 14);
  return (
    <figure className={classes.figure}>
      <figcaption>
        Dollars a day<span>highest {money(top)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Dollars a day, at most ${money(top)}`}>
        {filled.map((day, index) => {
          const height = top === 0 ? 0 : Math.max(day.usd > 0 ? 2 : 0, (day.usd / top) * (HEIGHT - 4));
          return (
            <g key={day.date}>
              <title>{`${dayLabel(day.date)}: ${money(day.usd)}`}</title>
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
        <span>{filled[0] && dayLabel(filled[0].date)}</span>
        <span>{filled.at(-1) && dayLabel(filled.at(-1)?.date ?? "")}</span>
      </div>
    </figure>
  );
}
