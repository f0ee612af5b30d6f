import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Metric, Run, RunEvent } from "@/api/types";
import { isFinished, keys } from "@/features/training/queries";

export type Link = "live" | "polling" | "closed";

const POLL_MS = 4000;
const RETRY_MS = 15_000;

/**
 * Keeps the cached run, metrics and log current. The browser reconnects a broken stream by itself and sends the last id
 * it saw; where it gives up, the page asks every few seconds and tries the stream again later.
 */
export function useRunStream(id: string, isActive: boolean): Link {
  const client = useQueryClient();
  const [link, setLink] = useState<Link>("closed");

  useEffect(() => {
    if (!isActive) return;
    let source: EventSource | null = null;
    let lastId = "";
    let poll = 0;
    let retry = 0;
    const stopPolling = () => {
      window.clearInterval(poll);
      window.clearTimeout(retry);
    };
    const connect = () => {
      stopPolling();
      const after = lastId ? `?last_event_id=${encodeURIComponent(lastId)}` : "";
      const opened = new EventSource(`/v1/fine_tuning/jobs/${encodeURIComponent(id)}/stream${after}`);
      source = opened;
      const on = (name: string, take: (data: never) => void) =>
        opened.addEventListener(name, (event) => {
          const message = event as MessageEvent<string>;
          if (message.lastEventId) lastId = message.lastEventId;
          take(JSON.parse(message.data) as never);
        });
      opened.onopen = () => setLink("live");
      on("job", (run: Run) => client.setQueryData(keys.one(id), run));
      on("metrics", (metric: Metric) => addMetric(client, id, metric));
      on("log", (event: RunEvent) => addLine(client, id, event));
      on("end", () => {
        opened.close();
        setLink("closed");
        void client.invalidateQueries({ queryKey: keys.all });
        void client.invalidateQueries({ queryKey: ["models"] });
      });
      opened.onerror = () => {
        setLink("polling");
        if (opened.readyState !== EventSource.CLOSED) return;
        stopPolling();
        poll = window.setInterval(() => void client.invalidateQueries({ queryKey: keys.all }), POLL_MS);
        retry = window.setTimeout(connect, RETRY_MS);
      };
    };
    connect();
    return () => {
      stopPolling();
      source?.close();
    };
  }, [client, id, isActive]);

  return isActive ? link : "closed";
}

/** Points arrive again after a reconnection: the step decides, and the newer word wins. */
export function addMetric(client: QueryClient, id: string, metric: Metric): void {
  client.setQueryData<Metric[]>(keys.metrics(id), (before = []) => {
    const last = before.at(-1);
    if (!last || metric.step > last.step) return [...before, metric];
    return before.some((known) => known.step === metric.step)
      ? before.map((known) => (known.step === metric.step ? { ...known, ...metric } : known))
      : [...before, metric].sort((a, b) => a.step - b.step);
  });
}

function addLine(client: QueryClient, id: string, event: RunEvent): void {
  if (event.type !== "message") return;
  client.setQueryData<RunEvent[]>(keys.log(id), (before = []) =>
    before.some((known) => known.id === event.id) ? before : [...before, event],
  );
}

/** Whether a run can still change. */
export function isLive(run: Run | undefined): boolean {
  return run !== undefined && !isFinished(run);
}
