import { fireEvent, screen, waitFor } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { sent } from "@/testing/sent";
import { server } from "@/testing/setup";
import { SIGN_IN_OPTIONS } from "@/testing/sign-in-handlers";

const NOBODY = http.get("*/v1/auth/session", () => refuse(401, "Sign in first.", "not_signed_in"));

function options(part: Partial<typeof SIGN_IN_OPTIONS>) {
  return http.get("*/v1/auth/options", () => HttpResponse.json({ ...SIGN_IN_OPTIONS, ...part }));
}

describe("signing in with a second step", () => {
  async function typePassword() {
    server.use(
      NOBODY,
      http.post("*/v1/auth/sign_in", async ({ request }) => {
        const { code } = (await request.json()) as { code: string | null };
        if (code === null) return refuse(401, "Type the code.", "second_factor_required");
        if (code !== "123456") return refuse(401, "The code is wrong.", "second_factor_failed");
        server.use(http.get("*/v1/auth/session", () => HttpResponse.json(makeSession())));
        return HttpResponse.json(makeSession());
      }),
    );
    const page = openPage("/sign-in");
    await page.user.type(await screen.findByLabelText(/Email/), "maya@clinic.example");
    await page.user.type(screen.getByLabelText(/^Password/), "right");
    await page.user.click(screen.getByRole("button", { name: "Sign in" }));
    return page;
  }

  it("asks for the code, with the cursor in its field, and goes on", async () => {
    const { user, history } = await typePassword();
    const field = await screen.findByLabelText(/Code/);
    expect(field).toHaveFocus();
    expect(screen.queryByRole("alert")).toBeNull();
    await user.type(field, "123456");
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    await waitFor(() => expect(history.location.pathname).toBe("/"));
  });

  it("says that a code is wrong, and stays", async () => {
    const { user } = await typePassword();
    await user.type(await screen.findByLabelText(/Code/), "000000");
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("The code is wrong.");
    await user.click(screen.getByRole("button", { name: "Back" }));
    expect(await screen.findByLabelText(/^Password/)).toHaveValue("");
  });
});

describe("the single sign-on", () => {
  it("is offered by its name and leads away, to come back to the page that was asked for", async () => {
    server.use(NOBODY);
    const starts = sent("post", "*/v1/auth/oidc/start", { url: `${window.location.origin}/#away` });
    const { user } = openPage("/sign-in?to=%2Fdata");
    await user.click(await screen.findByRole("button", { name: "Continue with Riverside ID" }));
    await waitFor(() => expect(starts[0]?.body).toEqual({ to: "/data" }));
  });

  it("never leads to a foreign site", async () => {
    server.use(NOBODY);
    const starts = sent("post", "*/v1/auth/oidc/start", { url: `${window.location.origin}/#away` });
    const { user } = openPage("/sign-in?to=%2F%2Fevil.example");
    await user.click(await screen.findByRole("button", { name: "Continue with Riverside ID" }));
    await waitFor(() => expect(starts[0]?.body).toEqual({ to: "/" }));
  });

  it("says in words why it did not work", async () => {
    server.use(NOBODY);
    openPage("/sign-in?problem=oidc_not_linked");
    expect(await screen.findByRole("alert")).toHaveTextContent("link it under Settings, Profile");
  });

  it("is not offered where there is none", async () => {
    server.use(NOBODY, options({ oidc_name: null }));
    openPage("/sign-in");
    await screen.findByRole("button", { name: "Sign in" });
    expect(screen.queryByRole("button", { name: /Continue with/ })).toBeNull();
  });
});

describe("a forgotten password", () => {
  it("is asked for by address, and the answer tells nobody who has it", async () => {
    server.use(NOBODY);
    const asked = sent("post", "*/v1/auth/password_reset");
    const { user } = openPage("/sign-in");
    await user.click(await screen.findByRole("link", { name: "Forgot your password?" }));
    const send = await screen.findByRole("button", { name: "Send me a link" });
    await user.type(screen.getByLabelText(/Email/), "maya@clinic.example");
    await user.click(send);
    expect(await screen.findByText(/If somebody here has the address/)).toBeVisible();
    expect(asked[0]?.body).toEqual({ email: "maya@clinic.example" });
  });

  it("needs an admin where no mail is sent", async () => {
    server.use(options({ sends_mail: false }));
    openPage("/forgot-password");
    expect(await screen.findByText(/Ask an admin of your workspace/)).toBeVisible();
    expect(screen.queryByLabelText(/Email/)).toBeNull();
  });

  it("is replaced by the link, whose secret is sent in the body alone", async () => {
    const finished = sent("post", "*/v1/auth/password_reset/finish", { email: "maya@clinic.example" });
    const { user } = openPage("/reset-password#the-token");
    await user.type(await screen.findByLabelText(/New password/), "a long enough password");
    await user.click(screen.getByRole("button", { name: "Set the password" }));
    expect(await screen.findByText(/It is the password of maya@clinic.example now/)).toBeVisible();
    expect(finished[0]?.body).toEqual({ token: "the-token", password: "a long enough password" });
  });

  it("says what is wrong with an old link", async () => {
    server.use(
      http.post("*/v1/auth/password_reset/finish", () =>
        refuse(400, "This link was used.", "reset_link_invalid"),
      ),
    );
    const { user } = openPage("/reset-password#the-token");
    await user.type(await screen.findByLabelText(/New password/), "a long enough password");
    await user.click(screen.getByRole("button", { name: "Set the password" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("This link was used.");
    expect(screen.getByRole("link", { name: "Ask for a new link" })).toBeVisible();
  });
});

describe("the first run", () => {
  it("makes the admin by the link that the start printed, and lands at home", async () => {
    server.use(options({ is_set_up: false }));
    const made = sent("post", "*/v1/setup", makeSession());
    const { user, history } = openPage("/setup#the-token");
    await user.type(await screen.findByLabelText(/Your name/), "Maya");
    await user.type(screen.getByLabelText(/Email/), "maya@clinic.example");
    await user.type(screen.getByLabelText(/^Password/), "a long enough password");
    await user.type(screen.getByLabelText(/Name of your workspace/), "Front desk");
    const form = screen.getByRole("button", { name: "Make it mine" }).closest("form");
    // as a double click does, faster than the button can be shut
    if (form) [1, 2].forEach(() => fireEvent.submit(form));
    await waitFor(() => expect(history.location.pathname).toBe("/"));
    expect(made).toHaveLength(1);
    expect(made[0]?.body).toEqual({
      token: "the-token",
      name: "Maya",
      email: "maya@clinic.example",
      password: "a long enough password",
      workspace_name: "Front desk",
    });
  });

  it("happens once", async () => {
    openPage("/setup#the-token");
    expect(await screen.findByText("This installation has its admin")).toBeVisible();
    expect(screen.queryByRole("button", { name: "Make it mine" })).toBeNull();
  });

  it("is explained to whoever comes without the link", async () => {
    server.use(NOBODY, options({ is_set_up: false }));
    openPage("/");
    expect(await screen.findByText("This installation has no admin yet")).toBeVisible();
    expect(screen.queryByLabelText(/Password/)).toBeNull();
  });
});
