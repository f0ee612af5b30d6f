import { http, HttpResponse } from "msw";
import type { BrowserSession, Profile, SignInOptions } from "@/api/types";
import { listOf, makeSession, NOW_S } from "@/testing/fixtures";

export const SIGN_IN_OPTIONS: SignInOptions = {
  object: "auth.options",
  is_set_up: true,
  sends_mail: true,
  oidc_name: "Riverside ID",
};

export const PROFILE: Profile = {
  object: "profile",
  id: "user_1",
  email: "maya@clinic.example",
  name: "Maya Lindqvist",
  has_password: true,
  totp: { is_on: false, num_recovery_codes: 0 },
  identities: [],
  oidc_name: "Riverside ID",
};

export const BROWSER_SESSIONS: BrowserSession[] = [
  {
    object: "profile.session",
    id: "sess_1",
    device: "Firefox on Windows",
    client_address: "192.0.2.14",
    created_at: NOW_S - 7200,
    last_seen_at: NOW_S - 20,
    expires_at: NOW_S + 500_000,
    is_current: true,
  },
  {
    object: "profile.session",
    id: "sess_2",
    device: "Safari on iPhone",
    client_address: "198.51.100.7",
    created_at: NOW_S - 300_000,
    last_seen_at: NOW_S - 30_000,
    expires_at: NOW_S + 200_000,
    is_current: false,
  },
];

export const RECOVERY_CODES = [
  "k7qd-mz3w-a2hn-4yte",
  "b5xr-c6vu-pl2s-o7ji",
  "w3gf-2kzq-dd5m-hx6a",
  "nq4t-y7be-u2oc-rv5l",
  "i6sj-zm3k-7whp-g2fa",
  "x2dv-ot5n-qc4y-e7bu",
  "l3rh-6wks-ja2p-mz5g",
  "f7ci-vb4x-t2yo-nd6q",
  "u5ek-g3lm-rs7z-pa4h",
  "y2wo-j6td-cq3f-bx7v",
];

// a picture of the right shape, that no camera reads
const QR = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 39 39"><path fill="#fff" d="M0 0h39v39h-39z"/><path stroke="#000" d="M3 3.5h7m1 0h5m3 0h4m6 0h7M3 6h1m5 0h1m3 0h6m2 0h5m4 0h1m5 0h1M3 9.500h7m2 0h1m3 0h4m1 0h5m3 0h7M5 14.500h9m2 0h3m4 0h8M3 18.500h4m3 0h9m5 0h9M6 22.500h5m4 0h7m3 0h8M3 29.500h7m3 0h5m4 0h9M3 32.500h1m5 0h1m4 0h8m2 0h6M3 35.500h7m2 0h6m3 0h9"/></svg>`;

export const signInHandlers = [
  http.get("*/v1/auth/options", () => HttpResponse.json(SIGN_IN_OPTIONS)),
  http.post("*/v1/auth/password", () => HttpResponse.json({ csrf_token: "csrf-2" })),
  http.post("*/v1/auth/password_reset", () => HttpResponse.json({ asked: true })),
  http.post("*/v1/auth/password_reset/finish", () => HttpResponse.json({ email: "maya@clinic.example" })),
  http.post("*/v1/auth/oidc/start", () => HttpResponse.json({ url: "https://id.example.com/authorize" })),
  http.post("*/v1/setup", () => HttpResponse.json(makeSession())),
  http.get("*/v1/profile", () => HttpResponse.json(PROFILE)),
  http.patch("*/v1/profile", async ({ request }) =>
    HttpResponse.json({ ...PROFILE, ...((await request.json()) as object) }),
  ),
  http.get("*/v1/profile/sessions", () => HttpResponse.json(listOf(BROWSER_SESSIONS))),
  http.delete("*/v1/profile/sessions", () => HttpResponse.json({ num_deleted: 1 })),
  http.delete("*/v1/profile/sessions/:id", ({ params }) =>
    HttpResponse.json({ id: params.id, deleted: true }),
  ),
  http.post("*/v1/profile/totp", () =>
    HttpResponse.json({
      secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
      uri: "otpauth://totp/Tailorbird:maya@clinic.example?secret=JBSWY3DPEHPK3PXP&issuer=Tailorbird",
      qr_svg: QR,
    }),
  ),
  http.post("*/v1/profile/totp/confirm", () =>
    HttpResponse.json({ recovery_codes: RECOVERY_CODES, csrf_token: "csrf-3" }),
  ),
  http.post("*/v1/profile/totp/recovery_codes", () =>
    HttpResponse.json({ recovery_codes: RECOVERY_CODES, csrf_token: "csrf-1" }),
  ),
  http.post("*/v1/profile/totp/turn_off", () => HttpResponse.json({ deleted: true })),
  http.post("*/v1/members/:id/password_reset", () =>
    HttpResponse.json({
      url: "https://tailorbird.clinic.example/reset-password#8sV3kq0Zt5mYx2nB7hLw4cRj6uPd9eFa1gTo",
      expires_at: NOW_S + 1800,
    }),
  ),
  http.delete("*/v1/admin/users/:id/totp", () => HttpResponse.json({ deleted: true })),
  http.post("*/v1/profile/identities", () => HttpResponse.json({ url: "https://id.example.com/authorize" })),
  http.delete("*/v1/profile/identities/:id", ({ params }) =>
    HttpResponse.json({ id: params.id, deleted: true }),
  ),
];
