import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Metric, Run, RunEvent } from "@/api/types";
import type { LiveMetrics } from "@/features/training/live-metrics";
import { isFinished, keys } from "@/features/training/queries";

export type Link = "connecting" | "live" | "reconnecting" | "closed";

const POLL_MS = 4000;
const RETRY_MS = 10_000;

/**
 * Keeps the cached run, its log and the live points current. The browser reconnects a broken stream by itself and sends
 * the last id it saw; where it gives up, the page asks every few seconds and opens the stream anew after that id.
 */
export function useRunStream(id: string, isActive: boolean, live: LiveMetrics): Link {
  const client = useQueryClient();
  const [link, setLink] = useState<Link>("connecting");

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
    const look = () => void client.invalidateQueries({ queryKey: keys.all });
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
      on("metrics", (metrics: Metric | Metric[]) => live.add([metrics].flat()));
      on("log", (event: RunEvent) => addLine(client, id, event));
      on("end", () => {
        opened.close();
        setLink("closed");
        look();
        void client.invalidateQueries({ queryKey: ["models"] });
      });
      opened.onerror = () => {
        setLink("reconnecting");
        if (opened.readyState !== EventSource.CLOSED) return;
        stopPolling();
        poll = window.setInterval(look, POLL_MS);
        retry = window.setTimeout(connect, RETRY_MS);
      };
    };
    connect();
    return () => {
      stopPolling();
      source?.close();
    };
  }, [client, id, isActive, live]);

  return isActive ? link : "closed";
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
