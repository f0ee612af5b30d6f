import type { ModelServer, ModelServers } from "@/api/types";

export function makeModelServer(some: Partial<ModelServer> = {}): ModelServer {
  return {
    object: "model_server",
    base_model: "smollm2-135m-instruct",
    runtime: "tailorbird",
    status: "ready",
    num_active: 0,
    num_waiting: 0,
    num_adapters: 4,
    num_restarts: 0,
    version: null,
    is_isolated: null,
    problem: null,
    residence: {
      is_pinned: true,
      num_bytes: 806_500_000,
      num_loads: 1,
      num_evictions: 0,
      num_refused: 0,
      load_s: 3.1,
    },
    adapters: {
      num_hits: 2_910,
      num_misses: 90,
      num_evictions: 86,
      fetch_s: 12.4,
      load_s: 8.2,
      num_bytes: 78_400_000,
    },
    ...some,
  };
}

const OF_VLLM: Pick<ModelServer, "residence" | "adapters"> = {
  residence: null,
  adapters: { num_hits: 640, num_misses: 16, num_evictions: 0, fetch_s: 9, load_s: 4, num_bytes: null },
};

export const MODEL_SERVERS: ModelServers = {
  object: "list",
  status: "ready",
  problem: null,
  max_base_bytes: 9_600_000_000,
  data: [
    makeModelServer(),
    makeModelServer({
      base_model: "qwen3-0.6b@nf4",
      status: "evicted",
      num_adapters: 0,
      residence: {
        is_pinned: false,
        num_bytes: 0,
        num_loads: 4,
        num_evictions: 4,
        num_refused: 12,
        load_s: 22.8,
      },
      adapters: { num_hits: 0, num_misses: 0, num_evictions: 0, fetch_s: 0, load_s: 0, num_bytes: 0 },
    }),
    makeModelServer({
      ...OF_VLLM,
      base_model: "qwen3-8b",
      runtime: "vllm",
      num_active: 12,
      num_waiting: 3,
      num_adapters: 16,
      version: "0.32.0",
      is_isolated: true,
    }),
    makeModelServer({
      ...OF_VLLM,
      base_model: "llama-3.1-8b-instruct",
      runtime: "vllm",
      status: "restarting",
      num_adapters: 0,
      num_restarts: 2,
      version: "0.32.0",
      is_isolated: true,
      problem: "vLLM ended (exit -9).",
    }),
  ],
};
