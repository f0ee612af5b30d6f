import { http, HttpResponse } from "msw";
import {
  ACCOUNTS,
  ALL_WORKSPACES,
  INVITATIONS,
  KEYS,
  makeKey,
  makeSentInvitation,
  MEMBERS,
  OFFER,
  WORKSPACES,
} from "@/testing/access-fixtures";
import { listOf, makeSession } from "@/testing/fixtures";

const SECRET = "tb_live_only_once_0123456789";

/** Who may do what: people, invitations, keys, workspaces. */
export const accessHandlers = [
  http.get("*/v1/api_keys", () => HttpResponse.json(listOf(KEYS))),
  http.post("*/v1/api_keys", async ({ request }) => {
    const fields = (await request.json()) as { name: string };
    return HttpResponse.json({ ...makeKey({ id: "key_9", name: fields.name }), key: SECRET });
  }),
  http.patch("*/v1/api_keys/:id", async ({ request }) => {
    const { name } = (await request.json()) as { name: string };
    return HttpResponse.json(makeKey({ name }));
  }),
  http.post("*/v1/api_keys/:id/rotate", () => HttpResponse.json({ ...makeKey(), key: SECRET })),
  http.delete("*/v1/api_keys/:id", () => HttpResponse.json({ deleted: true })),
  http.get("*/v1/members", () => HttpResponse.json(listOf(MEMBERS))),
  http.patch("*/v1/members/:id", () => HttpResponse.json(MEMBERS[1])),
  http.delete("*/v1/members/:id", () => HttpResponse.json({ deleted: true })),
  http.get("*/v1/invitations", () => HttpResponse.json(listOf(INVITATIONS))),
  http.post("*/v1/invitations", async ({ request }) => {
    const { email } = (await request.json()) as { email: string };
    return HttpResponse.json(makeSentInvitation({ email }));
  }),
  http.post("*/v1/invitations/lookup", () => HttpResponse.json(OFFER)),
  http.post("*/v1/invitations/accept", () => HttpResponse.json(makeSession())),
  http.post("*/v1/invitations/join", () => HttpResponse.json(makeSession())),
  http.post("*/v1/invitations/:id/resend", () => HttpResponse.json(makeSentInvitation())),
  http.delete("*/v1/invitations/:id", () => HttpResponse.json({ deleted: true })),
  http.get("*/v1/service_accounts", () => HttpResponse.json(listOf(ACCOUNTS))),
  http.post("*/v1/service_accounts", () => HttpResponse.json(ACCOUNTS[0])),
  http.patch("*/v1/service_accounts/:id", () => HttpResponse.json(ACCOUNTS[0])),
  http.delete("*/v1/service_accounts/:id", () => HttpResponse.json({ deleted: true })),
  http.get("*/v1/workspaces", () => HttpResponse.json(listOf(WORKSPACES))),
  http.post("*/v1/workspaces", () => HttpResponse.json(WORKSPACES[1])),
  http.patch("*/v1/workspaces/:id", () => HttpResponse.json(WORKSPACES[0])),
  http.post("*/v1/workspaces/:id/archive", () => HttpResponse.json(WORKSPACES[0])),
  http.post("*/v1/workspaces/:id/restore", () => HttpResponse.json(WORKSPACES[0])),
  http.get("*/v1/admin/workspaces", () => HttpResponse.json(listOf(ALL_WORKSPACES))),
  http.post("*/v1/auth/session/workspace", async ({ request }) => {
    const { workspace_id } = (await request.json()) as { workspace_id: string };
    const { workspaces } = makeSession();
    const workspace = workspaces.find((known) => known.id === workspace_id) ?? {
      id: workspace_id,
      name: "Old pilot",
      slug: "pilot",
    };
    return HttpResponse.json(makeSession({ workspace }));
  }),
];
