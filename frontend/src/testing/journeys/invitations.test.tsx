import { screen, waitFor } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { makeSentInvitation, OFFER } from "@/testing/access-fixtures";
import { makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

describe("inviting somebody", () => {
  it("shows the link once, to pass on", async () => {
    const { user } = openPage("/settings?part=members");
    await user.type(await screen.findByLabelText(/^Email/), "new@clinic.example");
    await user.selectOptions(screen.getByLabelText("Role"), "Viewer");
    await user.click(screen.getByRole("button", { name: "Invite" }));
    expect(await screen.findByText("new@clinic.example is invited")).toBeVisible();
    expect(screen.getByText(makeSentInvitation().link)).toBeVisible();
    expect(screen.getByText(/pass the link on/)).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Done" }));
    expect(screen.queryByText(makeSentInvitation().link)).toBeNull();
  });

  it("says what is wrong with the address at the field", async () => {
    server.use(http.post("*/v1/invitations", () => refuse(409, "It is invited already.", "already_invited")));
    const { user } = openPage("/settings?part=members");
    await user.type(await screen.findByLabelText(/^Email/), "li@clinic.example");
    await user.click(screen.getByRole("button", { name: "Invite" }));
    expect(await screen.findByText("It is invited already.")).toBeVisible();
  });

  it("again gives another link, also after the first has expired", async () => {
    const { user } = openPage("/settings?part=members");
    await user.click(
      await screen.findByRole("button", { name: "Send the invitation of sam@lab.example again" }),
    );
    expect(await screen.findByText(makeSentInvitation().link)).toBeVisible();
  });
});

describe("the link of an invitation", () => {
  const signedOut = () =>
    server.use(http.get("*/v1/auth/session", () => refuse(401, "Sign in first.", "not_signed_in")));

  it("lets somebody new in with a name and a password", async () => {
    signedOut();
    const sent: unknown[] = [];
    server.use(
      http.post("*/v1/invitations/accept", async ({ request }) => {
        sent.push(await request.json());
        return HttpResponse.json(makeSession());
      }),
    );
    const { user, history } = openPage("/join?token=abc");
    expect(await screen.findByRole("heading", { name: "Join Riverside Clinic" })).toBeVisible();
    await user.type(screen.getByLabelText(/Your name/), "Li");
    await user.type(screen.getByLabelText(/Choose a password/), "a long enough password");
    await user.click(screen.getByRole("button", { name: "Join Riverside Clinic" }));
    await waitFor(() => expect(history.location.pathname).toBe("/"));
    expect(sent).toEqual([{ token: "abc", name: "Li", password: "a long enough password" }]);
  });

  it("leads who has an account by the sign-in and back", async () => {
    signedOut();
    openPage("/join?token=abc");
    const link = await screen.findByRole("link", { name: "Sign in to join" });
    expect(link).toHaveAttribute("href", "/sign-in?to=%2Fjoin%3Ftoken%3Dabc");
  });

  it("is accepted with the sign-in of who has an account", async () => {
    const sent: unknown[] = [];
    server.use(
      http.post("*/v1/auth/sign_in", async ({ request }) => {
        sent.push(await request.json());
        return HttpResponse.json(makeSession());
      }),
    );
    const { user, history } = openPage("/sign-in?to=%2Fjoin%3Ftoken%3Dabc");
    expect(await screen.findByText("Sign in to join")).toBeVisible();
    await user.type(screen.getByLabelText(/Email/), "li@clinic.example");
    await user.type(screen.getByLabelText(/^Password/), "right");
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    await waitFor(() => expect(history.location.pathname).toBe("/"));
    expect(sent).toEqual([{ email: "li@clinic.example", password: "right", code: null, invitation: "abc" }]);
  });

  it("is one click for who is signed in with that address", async () => {
    server.use(
      http.post("*/v1/invitations/lookup", () =>
        HttpResponse.json({ ...OFFER, email: "maya@clinic.example" }),
      ),
    );
    const { user, history } = openPage("/join?token=abc");
    await user.click(await screen.findByRole("button", { name: "Join Riverside Clinic" }));
    await waitFor(() => expect(history.location.pathname).toBe("/"));
  });

  it("is not for who is signed in with another one", async () => {
    openPage("/join?token=abc");
    expect(await screen.findByText("You are signed in as maya@clinic.example")).toBeVisible();
    expect(screen.queryByRole("button", { name: /^Join/ })).toBeNull();
  });

  it("says that it is over, once it is", async () => {
    server.use(
      http.post("*/v1/invitations/lookup", () => refuse(404, "Ask for another.", "invitation_not_valid")),
    );
    openPage("/join?token=abc");
    expect(await screen.findByText("This invitation opens nothing any more")).toBeVisible();
  });
});
