import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { rememberCsrfToken } from "@/api/client";
import type { Profile } from "@/api/types";
import { listOf, makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { sent } from "@/testing/sent";
import { server } from "@/testing/setup";
import { BROWSER_SESSIONS, PROFILE, RECOVERY_CODES } from "@/testing/sign-in-handlers";

describe("my profile", () => {
  function profile(part: Partial<Profile>) {
    server.use(http.get("*/v1/profile", () => HttpResponse.json({ ...PROFILE, ...part })));
  }

  it("changes the password, and writes on under the renewed session", async () => {
    rememberCsrfToken("csrf-1");
    // whoever asks who is there after the change is told the new token
    sent("post", "*/v1/auth/password", { csrf_token: "csrf-new" });
    server.use(
      http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ csrf_token: "csrf-new" }))),
    );
    const renamed = sent("patch", "*/v1/profile", PROFILE);
    const { user } = openPage("/settings");
    await user.type(await screen.findByLabelText(/Current password/), "before before");
    await user.type(screen.getByLabelText(/New password/), "after after after");
    await user.click(screen.getByRole("button", { name: "Change password" }));
    expect(await screen.findByText("Your password is changed")).toBeVisible();
    const name = screen.getByLabelText(/^Name/);
    await user.clear(name);
    await user.type(name, "Maya L");
    await user.click(screen.getByRole("button", { name: "Change name" }));
    await waitFor(() => expect(renamed).toEqual([{ body: { name: "Maya L" }, token: "csrf-new" }]));
  });

  it("turns codes on: password, picture, code, recovery codes", async () => {
    const begun = sent("post", "*/v1/profile/totp", {
      secret: "JBSWY3DPEHPK3PXP",
      uri: "otpauth://totp/x",
      qr_svg: "<svg xmlns='http://www.w3.org/2000/svg'/>",
    });
    const { user } = openPage("/settings");
    await user.click(await screen.findByRole("button", { name: "Turn on" }));
    const dialog = await screen.findByRole("dialog");
    await user.type(within(dialog).getByLabelText(/Your password/), "mine mine mine");
    await user.click(within(dialog).getByRole("button", { name: "Go on" }));
    expect(await screen.findByRole("img", { name: /QR code/ })).toHaveAttribute(
      "src",
      expect.stringContaining("data:image/svg+xml"),
    );
    expect(screen.getByText("JBSW Y3DP EHPK 3PXP")).toBeVisible();
    expect(begun[0]?.body).toEqual({ password: "mine mine mine" });
    await user.type(screen.getByRole("textbox", { name: /^Code/ }), "123456");
    await user.click(screen.getByRole("button", { name: "Turn on" }));
    expect(await screen.findByText(new RegExp(RECOVERY_CODES[9] ?? "-"))).toBeVisible();
    await user.click(screen.getByRole("button", { name: "I have kept them" }));
    expect(screen.queryByText(new RegExp(RECOVERY_CODES[9] ?? "-"))).toBeNull();
  });

  it("warns when few recovery codes are left, and turns codes off with the password", async () => {
    profile({ totp: { is_on: true, num_recovery_codes: 2 } });
    const off = sent("post", "*/v1/profile/totp/turn_off");
    const { user } = openPage("/settings");
    expect(await screen.findByText("Few recovery codes are left")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Turn off" }));
    const dialog = await screen.findByRole("dialog");
    await user.type(within(dialog).getByLabelText(/Your password/), "mine mine mine");
    await user.click(within(dialog).getByRole("button", { name: "Turn off" }));
    await waitFor(() => expect(off[0]?.body).toEqual({ password: "mine mine mine" }));
  });

  it("says in the dialog that the password is wrong", async () => {
    server.use(http.post("*/v1/profile/totp", () => refuse(400, "The password is wrong.", "wrong_password")));
    const { user } = openPage("/settings");
    await user.click(await screen.findByRole("button", { name: "Turn on" }));
    const dialog = await screen.findByRole("dialog");
    await user.type(within(dialog).getByLabelText(/Your password/), "not mine");
    await user.click(within(dialog).getByRole("button", { name: "Go on" }));
    expect(await within(dialog).findByRole("alert")).toHaveTextContent("The password is wrong.");
  });

  it("shows the linked identity and unlinks it", async () => {
    const identity = { id: "idn_1", object: "profile.identity", email: "maya@id.example" } as const;
    profile({ identities: [{ ...identity, created_at: 1, last_used_at: 2 }] });
    const unlinked = sent("delete", "*/v1/profile/identities/idn_1");
    const { user } = openPage("/settings");
    const table = await screen.findByRole("table", { name: "Linked identities" });
    expect(within(table).getByText("maya@id.example")).toBeVisible();
    await user.click(within(table).getByRole("button", { name: "Unlink" }));
    const dialog = await screen.findByRole("dialog");
    await user.click(within(dialog).getByRole("button", { name: "Unlink" }));
    await waitFor(() => expect(unlinked).toHaveLength(1));
  });

  it("has no password form for who has none", async () => {
    profile({ has_password: false });
    openPage("/settings");
    expect(await screen.findByText(/You have none here/)).toBeVisible();
    expect(screen.queryByLabelText(/Current password/)).toBeNull();
    expect(screen.queryByRole("button", { name: "Turn on" })).toBeNull();
  });
});

describe("my sessions", () => {
  it("mark this browser, which has no button, and sign out another one", async () => {
    const revoked = sent("delete", "*/v1/profile/sessions/sess_2");
    const { user } = openPage("/settings?part=sessions");
    const table = await screen.findByRole("table", { name: "Sessions" });
    const row = (name: RegExp) => within(within(table).getByRole("row", { name }));
    const [here, there] = [row(/Firefox on Windows/), row(/Safari on iPhone/)];
    expect(here.getByText("This browser")).toBeVisible();
    expect(here.queryByRole("button")).toBeNull();
    await user.click(there.getByRole("button", { name: "Sign out Safari on iPhone" }));
    await waitFor(() => expect(revoked).toHaveLength(1));
  });

  it("can all be ended but this one", async () => {
    const revoked = sent("delete", "*/v1/profile/sessions", { num_deleted: 1 });
    const { user } = openPage("/settings?part=sessions");
    await user.click(await screen.findByRole("button", { name: "Sign out everywhere else" }));
    const dialog = await screen.findByRole("dialog");
    await user.click(within(dialog).getByRole("button", { name: "Sign out" }));
    await waitFor(() => expect(revoked).toHaveLength(1));
  });

  it("offer nothing to end where there is no other", async () => {
    server.use(
      http.get("*/v1/profile/sessions", () => HttpResponse.json(listOf(BROWSER_SESSIONS.slice(0, 1)))),
    );
    openPage("/settings?part=sessions");
    await screen.findByText("Firefox on Windows");
    expect(screen.queryByRole("button", { name: "Sign out everywhere else" })).toBeNull();
  });
});

describe("a member who cannot sign in", () => {
  async function openHelp() {
    const { user } = openPage("/settings?part=members");
    await user.click(await screen.findByRole("button", { name: /^Help Jon Abara/ }));
    return { user, dialog: within(await screen.findByRole("dialog")) };
  }

  it("gets a link from an admin, shown once and with whom it is for", async () => {
    const { user, dialog } = await openHelp();
    await user.click(dialog.getByRole("button", { name: "Make a link" }));
    expect(await dialog.findByText(/\/reset-password#/)).toBeVisible();
    expect(dialog.getByText("Hand it to Jon Abara and to nobody else")).toBeVisible();
  });

  it("is above a workspace's admin now and then, which is said", async () => {
    server.use(
      http.post("*/v1/members/:id/password_reset", () =>
        refuse(403, "They may do more.", "person_above_you"),
      ),
    );
    const { user, dialog } = await openHelp();
    await user.click(dialog.getByRole("button", { name: "Make a link" }));
    expect(await dialog.findByRole("alert")).toHaveTextContent("They may do more.");
  });

  it("can have the codes turned off by who runs the installation, and by nobody else", async () => {
    const off = sent("delete", "*/v1/admin/users/user_2/totp");
    const { user, dialog } = await openHelp();
    await user.click(dialog.getByRole("button", { name: "Turn their codes off" }));
    expect(await dialog.findByText("Their codes are off")).toBeVisible();
    expect(off).toHaveLength(1);
  });

  it("is pointed to who runs the installation by an admin who does not", async () => {
    const permissions = makeSession().permissions.filter((permission) => permission !== "installation:admin");
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ permissions }))));
    const { dialog } = await openHelp();
    expect(
      await dialog.findByText(/Who runs this installation can turn their codes off/),
    ).toBeInTheDocument();
    expect(dialog.queryByRole("button", { name: "Turn their codes off" })).toBeNull();
  });
});
