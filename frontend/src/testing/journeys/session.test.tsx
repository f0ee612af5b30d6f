import { cleanup, screen, waitFor } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { Permission } from "@/api/types";
import { makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

function signedOut() {
  let isIn = false;
  server.use(
    http.get("*/v1/auth/session", () =>
      isIn ? HttpResponse.json(makeSession()) : refuse(401, "Sign in first.", "not_signed_in"),
    ),
    http.post("*/v1/auth/sign_in", async ({ request }) => {
      const { password } = (await request.json()) as { password: string };
      if (password !== "right") return refuse(401, "Wrong.", "sign_in_failed");
      isIn = true;
      return HttpResponse.json(makeSession());
    }),
  );
}

describe("signing in", () => {
  it("returns to the page that was asked for", async () => {
    signedOut();
    const { user, history } = openPage("/data/ds_1?filter=heldout");
    await user.type(await screen.findByLabelText(/Email/), "maya@clinic.example");
    await user.type(screen.getByLabelText(/^Password/), "right");
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    await screen.findByRole("heading", { name: "Front desk tickets" });
    expect(history.location.href).toBe("/data/ds_1?filter=heldout");
  });

  it("says in one sentence that the password is wrong", async () => {
    signedOut();
    const { user } = openPage("/sign-in");
    await user.type(await screen.findByLabelText(/Email/), "maya@clinic.example");
    await user.type(screen.getByLabelText(/^Password/), "wrong");
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Email or password is not right");
  });

  it("is asked for when the session ends in the middle, and remembers the place", async () => {
    const { history } = openPage("/");
    await screen.findByRole("heading", { name: "Make a model of your own" });
    server.use(http.get("*/v1/datasets", () => refuse(401, "Sign in first.", "not_signed_in")));
    history.push("/data");
    await waitFor(() => expect(history.location.pathname).toBe("/sign-in"));
    expect(history.location.search).toContain("data");
  });
});

describe("permissions", () => {
  it("hide what a person may not do", async () => {
    server.use(
      http.get("*/v1/auth/session", () =>
        HttpResponse.json(
          makeSession({ role: "viewer", permissions: ["datasets:read", "runs:read", "models:read"] }),
        ),
      ),
    );
    openPage("/train");
    await screen.findByRole("heading", { name: "Train" });
    expect(screen.queryByRole("link", { name: "Make a model" })).toBeNull();
    expect(screen.queryByRole("link", { name: "Usage" })).toBeNull();
  });

  it("lead nobody to a door that is closed", async () => {
    const permissions: Permission[] = ["datasets:read", "runs:read", "models:read"];
    server.use(
      http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ role: "viewer", permissions }))),
    );
    openPage("/models");
    expect(await screen.findByRole("table", { name: "Your models" })).toBeVisible();
    expect(screen.queryByRole("link", { name: "Try it" })).toBeNull();
    cleanup();
    openPage("/");
    expect(await screen.findByRole("heading", { name: "Models of your own" })).toBeVisible();
    expect(screen.getByText(/Your role lets you look/)).toBeVisible();
  });

  it("are explained where a page is forbidden", async () => {
    server.use(http.get("*/v1/datasets", () => refuse(403, "No.", "permission_denied")));
    openPage("/data");
    expect(await screen.findByText("You cannot see your examples")).toBeVisible();
  });
});

describe("an error", () => {
  it("offers another try, which works", async () => {
    server.use(
      http.get("*/v1/datasets", () => refuse(409, "The database is being moved.", "busy"), { once: true }),
    );
    const { user } = openPage("/data");
    await user.click(await screen.findByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("link", { name: "Front desk tickets" })).toBeVisible();
  });
});
