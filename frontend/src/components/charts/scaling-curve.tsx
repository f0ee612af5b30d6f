import { useElementSize } from "@mantine/hooks";
import { count } from "@/lib/format";
import classes from "./scaling-curve.module.css";

export interface Range {
  value: number;
  low: number;
  high: number;
}

export interface ScalingPoint {
  size: number;
  loss: Range;
}

interface ScalingCurveProps {
  points: ScalingPoint[];
  /** `loss = scale * size ** -exponent`, and from which size on it is drawn; null while there is none. */
  fit: { scale: number; exponent: number; from: number } | null;
  /** What it would probably come to with more. */
  forecast: ScalingPoint | null;
}

const HEIGHT = 260;
const MARGIN = { top: 12, right: 20, bottom: 40, left: 48 };
const STEPS_OF_FIT = 24;
const NUM_LINES = 4;
const HEADROOM = 0.15;
/** Names of sizes need this much room each, in pixels. */
const LABEL_ROOM = 44;

function path(points: (readonly [number, number])[]): string {
  return points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

function roundStep(span: number): number {
  const rough = span / NUM_LINES;
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
}

/** Error against the number of examples: what was measured with its uncertainty, and where it probably goes on. */
export function ScalingCurve({ points, fit, forecast }: ScalingCurveProps) {
  const { ref, width: measured } = useElementSize();
  const width = Math.max(measured, 280);
  const all = forecast ? [...points, forecast] : points;
  const last = all.at(-1);
  if (!last) return null;
  const [bottom, top] = bounds(all);
  const right = last.size * 1.04;
  const x = (size: number) => MARGIN.left + (size / right) * (width - MARGIN.left - MARGIN.right);
  const y = (loss: number) =>
    MARGIN.top + ((top - loss) / (top - bottom)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const band = (some: ScalingPoint[]) =>
    `${path([
      ...some.map((one) => [x(one.size), y(one.loss.high)] as const),
      ...[...some].reverse().map((one) => [x(one.size), y(one.loss.low)] as const),
    ])}Z`;
  const lastMeasured = points.at(-1);
  const step = roundStep(top - bottom);
  const lines = Array.from({ length: 9 }, (_, index) => (Math.ceil(bottom / step) + index) * step);
  const digits = Math.max(0, Math.ceil(-Math.log10(step)));
  const sentence = points
    .map((one) => `${count(one.size)} examples: ${one.loss.value.toFixed(3)}`)
    .join(", ");
  return (
    <figure className={classes.figure}>
      <div ref={ref}>
        <svg
          width={width}
          height={HEIGHT}
          role="img"
          aria-label={`Error by number of examples. ${sentence}. The table holds the numbers.`}
        >
          {lines
            .filter((line) => line <= top)
            .map((line) => (
              <g key={line}>
                <path className={classes.grid} d={`M${MARGIN.left} ${y(line)}H${width - MARGIN.right}`} />
                <text className={classes.label} x={MARGIN.left - 8} y={y(line) + 4} textAnchor="end">
                  {line.toFixed(digits)}
                </text>
              </g>
            ))}
          {points.length > 1 && <path className={classes.band} d={band(points)} />}
          {forecast && lastMeasured && <path className={classes.cone} d={band([lastMeasured, forecast])} />}
          {fit && <path className={classes.fit} d={fitted(fit, last.size, x, y)} />}
          {points.map((one) => (
            <g key={one.size}>
              <path className={classes.bar} d={`M${x(one.size)} ${y(one.loss.low)}V${y(one.loss.high)}`} />
              <circle className={classes.point} cx={x(one.size)} cy={y(one.loss.value)} r={5} />
            </g>
          ))}
          {forecast && (
            <g>
              <path
                className={classes.bar}
                d={`M${x(forecast.size)} ${y(forecast.loss.low)}V${y(forecast.loss.high)}`}
              />
              <circle className={classes.guess} cx={x(forecast.size)} cy={y(forecast.loss.value)} r={5} />
            </g>
          )}
          {named(all, x).map((one) => (
            <text
              key={one.size}
              className={classes.label}
              x={x(one.size)}
              y={HEIGHT - 22}
              textAnchor="middle"
            >
              {count(one.size)}
            </text>
          ))}
          <text className={classes.label} x={MARGIN.left} y={HEIGHT - 4}>
            Examples learned from
          </text>
        </svg>
      </div>
      <figcaption className={classes.key}>
        <span className={classes.measured}>Measured, lower is better</span>
        {forecast && <span className={classes.expected}>Expected with more</span>}
      </figcaption>
    </figure>
  );
}

function bounds(points: ScalingPoint[]): [number, number] {
  const lows = points.map((one) => one.loss.low);
  const highs = points.map((one) => one.loss.high);
  const room = HEADROOM * (Math.max(...highs) - Math.min(...lows)) || 0.1;
  return [Math.max(0, Math.min(...lows) - room), Math.max(...highs) + room];
}

function fitted(
  fit: { scale: number; exponent: number; from: number },
  to: number,
  x: (size: number) => number,
  y: (loss: number) => number,
): string {
  const sizes = Array.from(
    { length: STEPS_OF_FIT + 1 },
    (_, step) => fit.from + ((to - fit.from) * step) / STEPS_OF_FIT,
  );
  return path(sizes.map((size) => [x(size), y(fit.scale * size ** -fit.exponent)] as const));
}

/** Those whose names do not run into each other; of two that would, the larger. */
function named(points: ScalingPoint[], x: (size: number) => number): ScalingPoint[] {
  let taken = Infinity;
  return [...points].reverse().filter((one) => {
    if (taken - x(one.size) < LABEL_ROOM) return false;
    taken = x(one.size);
    return true;
  });
}
