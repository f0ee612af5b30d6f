const PATHS = {
  home: "M2.5 7.5 8 3l5.5 4.5M4 7v6h8V7M8 13v-3",
  data: "M2.5 4h11M2.5 8h11M2.5 12h7",
  train: "M13.5 2.5 6 10M13.5 2.5c.6 1.4 0 2.2-.8 2.4M6 10c-2.5 2.5 .5 4-2 4-1.2 0-2-.8-2-2",
  models: "M3 13C3 7 6.5 3 13.5 2.5 14 9.5 9.5 13 3 13zM3 13c2-3.5 4-5.5 7-7",
  playground: "M2 3h7v5.500H5.500L3.5 10.500V8.500H2zM11 6h3v5.500h-1.500v2L10.5 11.500H7",
  usage: "M3 13V9M6.3 13V5M9.7 13V7.500M13 13V3",
  settings: "M2.5 5h6M11.5 5h2M2.5 11h2M7.5 11h6M10 3.500v3M6 9.500v3",
  plus: "M8 3v10M3 8h10",
  send: "M8 13V3M4 7l4-4 4 4",
  up: "M4 9.500 8 5.500l4 4",
  down: "M4 6.500l4 4 4-4",
  admin: "M8 2.500 13 4.500v3.500c0 3-2 4.800-5 6-3-1.200-5-3-5-6V4.500zM6 8l1.500 1.500L10.500 6.500",
  check: "M3.500 8.500 6.500 11.500 12.500 4.500",
  menu: "M2.5 4.500h11M2.5 8h11M2.5 11.500h11",
  person: "M8 8a2.7 2.7 0 1 0 0-5.4A2.7 2.7 0 0 0 8 8zM3 13.5c.5-2.5 2.5-3.7 5-3.7s4.5 1.2 5 3.7",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="none" aria-hidden="true">
      <path
        d={PATHS[name]}
        stroke="currentColor"
        strokeWidth="1.4"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
