import { http, HttpResponse } from "msw";
import type { Alias, AliasPlan, PromptProfile, Release, ShadowAnswer } from "@/api/types";
import { BASE, NOW_S, TUNED } from "@/testing/fixtures";

export function makeRelease(number: number, changes: Partial<Release> = {}): Release {
  return {
    id: `alr_${number}`,
    object: "alias.release",
    number,
    created_at: NOW_S - 86_400 * (4 - number),
    created_by: "user_1",
    arms: [{ model: BASE, percent: 100, profile: null, template_sha256: null }],
    shadow: null,
    rolled_back_to: null,
    note: "",
    ...changes,
  };
}

export const RELEASES: Release[] = [
  makeRelease(3, {
    arms: [
      { model: TUNED, percent: 90, profile: 2, template_sha256: "a".repeat(64) },
      { model: BASE, percent: 10, profile: null, template_sha256: null },
    ],
    shadow: { model: BASE, profile: null },
  }),
  makeRelease(2, {
    arms: [{ model: TUNED, percent: 100, profile: 1, template_sha256: "a".repeat(64) }],
    note: "Better with claims",
  }),
  makeRelease(1),
];

export function makeAlias(changes: Partial<Alias> = {}): Alias {
  return {
    id: "als_1",
    object: "alias",
    name: "support-bot",
    created_at: NOW_S - 400_000,
    created_by: "user_1",
    release: RELEASES[0] ?? makeRelease(1),
    ...changes,
  };
}

const PROFILES: PromptProfile[] = [2, 1].map((version) => ({
  id: `prf_${version}`,
  object: "alias.profile",
  version,
  created_at: NOW_S - 100_000,
  created_by: "user_1",
  system_prompt:
    version === 2 ? "You answer customers of a clinic. Be short and kind." : "You answer customers.",
  temperature: version === 2 ? 0.3 : null,
  top_p: null,
  max_tokens: null,
  note: "",
}));

const SHADOWS: ShadowAnswer[] = [
  {
    id: "shd_1",
    object: "alias.shadow_answer",
    created_at: NOW_S - 300,
    completion_id: "chatcmpl-1",
    release: 3,
    question: "Is my claim approved?",
    shown_model: TUNED,
    shown_text: "It is approved; you will have the money on Friday.",
    model: BASE,
    text: "Please contact the support.",
    problem: null,
    seconds: 1.2,
    tokens: 40,
  },
];

export const ALIAS_HANDLERS = [
  http.get("*/v1/aliases", () => HttpResponse.json({ object: "list", data: [makeAlias()] })),
  http.get("*/v1/aliases/:name", () => HttpResponse.json(makeAlias())),
  http.get("*/v1/aliases/:name/releases", () =>
    HttpResponse.json({ object: "list", data: RELEASES, has_more: false, first_id: null, last_id: null }),
  ),
  http.post("*/v1/aliases/:name/releases", async ({ request }) => {
    const plan = (await request.json()) as AliasPlan;
    const arms = plan.arms.map((arm) => ({ ...arm, profile: arm.profile ?? null, template_sha256: null }));
    return HttpResponse.json(makeAlias({ release: makeRelease(4, { arms }) }));
  }),
  http.post("*/v1/aliases/:name/roll_back", () => HttpResponse.json(makeAlias({ release: makeRelease(4) }))),
  http.get("*/v1/aliases/:name/profiles", () => HttpResponse.json({ object: "list", data: PROFILES })),
  http.post("*/v1/aliases/:name/profiles", () => HttpResponse.json(PROFILES[0])),
  http.get("*/v1/aliases/:name/shadow_answers", () =>
    HttpResponse.json({ object: "list", data: SHADOWS, has_more: false, first_id: null, last_id: null }),
  ),
  http.delete("*/v1/aliases/:name", () => HttpResponse.json({ deleted: true })),
  http.post("*/v1/aliases/:name/restore", () => HttpResponse.json(makeAlias())),
];
