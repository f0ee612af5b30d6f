import type { ModelServer, ModelServers } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { modelServerWords, RUNTIMES } from "@/features/admin/components/wording";
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
  { key: "active", title: "Answering", align: "end", isSecondary: true, cell: (one) => one.num_active },
  { key: "waiting", title: "Waiting", align: "end", isSecondary: true, cell: (one) => one.num_waiting },
  {
    key: "adapters",
    title: "Tuned models",
    align: "end",
    isSecondary: true,
    cell: (one) => one.num_adapters,
  },
  { key: "restarts", title: "Restarts", align: "end", isSecondary: true, cell: (one) => one.num_restarts },
];

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
      {found.data.length > 0 && (
        <Table
          label="Model servers"
          columns={COLUMNS}
          items={found.data}
          rowKey={(one) => `${one.base_model}/${one.runtime}`}
        />
      )}
    </>
  );
}
