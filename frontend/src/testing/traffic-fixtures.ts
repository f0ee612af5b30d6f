import type { ModelTraffic } from "@/api/types";
import { BASE, NOW_S } from "@/testing/fixtures";

const DAY_S = 86_400;
/** Questions a day, today last; weekends are quiet. */
const QUESTIONS = [42, 51, 48, 12, 3, 55, 37];

/** Of a base model nobody asks; all others are asked, the more on weekdays. */
export function trafficOf(model: string, days: number): ModelTraffic {
  const isAsked = model !== BASE;
  const by_day = Array.from({ length: days }, (_, index) => {
    const num_requests = isAsked ? (QUESTIONS[(index + 7 * 5 - days) % 7] ?? 0) : 0;
    return {
      date: new Date((NOW_S - (days - 1 - index) * DAY_S) * 1000).toISOString().slice(0, 10),
      num_requests,
      num_failed: num_requests > 50 ? 1 : 0,
      prompt_tokens: num_requests * 310,
      completion_tokens: num_requests * 95,
    };
  });
  const sum = (of: (day: (typeof by_day)[number]) => number) => by_day.reduce((all, day) => all + of(day), 0);
  const num_failed = sum((day) => day.num_failed);
  return {
    object: "model.traffic",
    model,
    days,
    num_requests: sum((day) => day.num_requests),
    num_failed,
    num_cancelled: isAsked ? 1 : 0,
    prompt_tokens: sum((day) => day.prompt_tokens),
    completion_tokens: sum((day) => day.completion_tokens),
    first_token: isAsked ? { p50_ms: 410, p95_ms: 1_830 } : null,
    whole_answer: isAsked ? { p50_ms: 2_240, p95_ms: 6_900 } : null,
    errors: num_failed > 0 ? [{ code: "engine_died", num_requests: num_failed }] : [],
    by_day,
  };
}
