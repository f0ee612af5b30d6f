import type { LedgerEntry, Price, Storage, UsageSummary } from "@/api/types";
import { NOW_S } from "@/testing/fixtures";

export const USAGE: UsageSummary = {
  object: "usage.summary",
  month: "2026-11",
  total_usd: 1.284,
  training_usd: 1.102,
  inference_usd: 0.182,
  export_usd: 0.004,
  tokens: 2_418_220,
  by_day: [3, 4, 5, 9, 10, 11, 12, 16, 17, 18, 19, 20, 23].map((day) => ({
    date: `2026-11-${String(day).padStart(2, "0")}`,
    usd: 0.04 + ((day * 37) % 11) * 0.012,
  })),
};

export const STORAGE: Storage = {
  object: "usage.storage",
  num_bytes: 4_600_000_000,
  max_bytes: 5_000_000_000,
};

export const ENTRIES: LedgerEntry[] = [
  {
    id: "led_2",
    object: "usage.entry",
    created_at: NOW_S - 4000,
    kind: "inference",
    source_id: "chatcmpl-1",
    usd: 0.00004,
    seconds: 1.2,
    tokens: 212,
    created_by: "user_1",
    model: null,
    alias: null,
  },
  {
    id: "led_1",
    object: "usage.entry",
    created_at: NOW_S - 80_000,
    kind: "training",
    source_id: "ftjob-2",
    usd: 0.058,
    seconds: 1394,
    tokens: 265_236,
    created_by: "user_1",
    model: null,
    alias: null,
  },
];

export const PRICES: Price[] = [
  {
    id: "price_1",
    object: "price",
    hardware: "cpu",
    usd_per_hour: 0.15,
    valid_from: NOW_S - 900_000,
    source: "2 vCPU on demand, list price of a large cloud",
  },
];
