import type { ModelServer, ModelServers } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { modelServerWords, RUNTIMES } from "@/features/admin/components/wording";
import { bytes, count, duration, percent, plural } from "@/lib/format";
import classes from "./worker-row.module.css";

const COLUMNS: TableColumn<ModelServer>[] = [
  {
    key: "base",
    title: "Base model",
    sortBy: (one) => one.base_model,
    cell: (one) => (
      <>
        {one.base_model}
        <small className={classes.hint}>{runtimeOf(one)}</small>
      </>
    ),
  },
  {
    key: "state",
    title: "State",
    cell: (one) => {
      const words = modelServerWords(one);
      return <Status tone={words.tone}>{words.label}</Status>;
    },
  },
  { key: "memory", title: "Memory", align: "end", isSecondary: true, cell: (one) => <MemoryCell of={one} /> },
  { key: "active", title: "Answering", align: "end", isSecondary: true, cell: (one) => one.num_active },
  { key: "waiting", title: "Waiting", align: "end", isSecondary: true, cell: (one) => one.num_waiting },
  {
    key: "adapters",
    title: "Tuned models",
    align: "end",
    isSecondary: true,
    cell: (one) => <TunedCell of={one} />,
  },
  { key: "restarts", title: "Restarts", align: "end", isSecondary: true, cell: (one) => one.num_restarts },
];

/** What it takes; of one that comes and goes, how often it went. */
function MemoryCell({ of }: { of: ModelServer }) {
  const place = of.residence;
  if (!place) return <span title="vLLM does not say.">–</span>;
  const { num_evictions: times, num_loads: loads, num_refused: refused } = place;
  const went =
    times > 0
      ? `${plural(times, "time")} made room for others, ${duration(place.load_s / Math.max(1, loads))} to load`
      : null;
  return (
    <>
      {place.num_bytes > 0 ? bytes(place.num_bytes) : "–"}
      {place.is_pinned && <small className={classes.hint}>always loaded</small>}
      {went && <small className={classes.hint}>{went}</small>}
      {refused > 0 && (
        <small
          className={classes.hint}
          title="It had no room, as others were answering, or other base models were loaded before it."
        >
          {plural(refused, "question")} told to come back
        </small>
      )}
    </>
  );
}

/** How many are in memory, and how often the one that was asked for was among them. */
function TunedCell({ of }: { of: ModelServer }) {
  const { num_hits: hits, num_misses: misses, num_bytes: size } = of.adapters;
  return (
    <>
      {of.num_adapters}
      {size !== null && size > 0 && ` · ${bytes(size)}`}
      {hits + misses > 0 && (
        <small
          className={classes.hint}
          title={`${count(misses)} of ${count(hits + misses)} answers waited for their model to be loaded.`}
        >
          {percent(hits / (hits + misses))} were ready when asked
        </small>
      )}
    </>
  );
}

/** The sentence below the table: how much of its memory the base models take. */
function RoomLine({ found }: { found: ModelServers }) {
  if (found.max_base_bytes === null) return null;
  const taken = found.data.reduce((sum, one) => sum + (one.residence?.num_bytes ?? 0), 0);
  return (
    <p className={classes.hint}>
      Base models take {bytes(taken)} of the {bytes(found.max_base_bytes)} that they may. Where another is
      asked for and there is no room, the one not asked for longest makes it.
    </p>
  );
}

function runtimeOf(one: ModelServer): string {
  const name = `${RUNTIMES[one.runtime]}${one.version ? ` ${one.version}` : ""}`;
  return one.is_isolated ? `${name}, cut off from the network` : name;
}

/** What answers for which base model; of one that is in trouble, why. */
export function ModelServerList({ found }: { found: ModelServers }) {
  const troubled = found.data.filter((one) => one.problem !== null);
  return (
    <>
      {found.status === "unreachable" && (
        <Notice tone="bad" title="The model server does not answer">
          {found.problem} Nobody can talk to a model meanwhile; training goes on.
        </Notice>
      )}
      {found.data.length === 0 && found.status !== "unreachable" && (
        <Notice tone={found.status === "failed" ? "bad" : "quiet"} title="No model is loaded yet">
          {found.problem ?? "The first one is being read, which takes a minute."}
        </Notice>
      )}
      {troubled.map((one) => (
        <Notice
          key={one.base_model}
          tone={one.status === "failed" ? "bad" : "warn"}
          title={`${one.base_model} does not answer`}
        >
          {one.problem} It is tried again by itself; its log is in the folder of logs.
        </Notice>
      ))}
      {found.problem !== null && found.status === "ready" && (
        <Notice tone="warn" title="A base model that should always be loaded is not">
          {found.problem}
        </Notice>
      )}
      {found.data.length > 0 && (
        <Table
          label="Model servers"
          columns={COLUMNS}
          items={found.data}
          rowKey={(one) => `${one.base_model}/${one.runtime}`}
        />
      )}
      {found.data.length > 0 && <RoomLine found={found} />}
    </>
  );
}
