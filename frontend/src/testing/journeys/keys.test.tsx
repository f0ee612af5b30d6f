import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { KEYS, makeKey } from "@/testing/access-fixtures";
import { listOf } from "@/testing/fixtures";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

describe("API keys", () => {
  it("are shown once, with a program that uses them", async () => {
    const { user } = openPage("/settings?part=keys");
    await user.type(await screen.findByLabelText(/Name of the new key/), "Nightly job");
    await user.click(screen.getByRole("button", { name: "Make a key" }));
    expect(await screen.findByText("tb_live_only_once_0123456789")).toBeVisible();
    expect(screen.getByText(/from openai import OpenAI/)).toHaveTextContent("tb_live_only_once_0123456789");
    await user.click(screen.getByRole("button", { name: "I have copied it" }));
    expect(screen.queryByText("tb_live_only_once_0123456789")).toBeNull();
  });

  it("are limited, given an end, and made for a program", async () => {
    const asked: Record<string, unknown>[] = [];
    server.use(
      http.post("*/v1/api_keys", async ({ request }) => {
        asked.push((await request.json()) as Record<string, unknown>);
        return HttpResponse.json({ ...makeKey(), key: "tb_live_x" });
      }),
    );
    const { user } = openPage("/settings?part=keys");
    await user.type(await screen.findByLabelText(/Name of the new key/), "Import");
    await user.selectOptions(screen.getByLabelText("Expires"), "In 30 days");
    await user.selectOptions(await screen.findByLabelText("Acts for"), "Records system");
    await user.click(screen.getByText("Limit what it may do"));
    await user.click(screen.getByLabelText("Only some of what the role may"));
    expect(screen.getByRole("button", { name: "Make a key" })).toBeDisabled();
    await user.click(screen.getByLabelText("See the data"));
    await user.click(screen.getByRole("button", { name: "Make a key" }));
    await waitFor(() => expect(asked).toHaveLength(1));
    expect(asked[0]).toMatchObject({
      name: "Import",
      scopes: ["datasets:read"],
      service_account_id: "svc_1",
    });
    const days = (Number(asked[0]?.expires_at) - Date.now() / 1000) / 86_400;
    expect(days).toBeCloseTo(30, 1);
  });

  it("say whom they act for, what they may, and when they end", async () => {
    openPage("/settings?part=keys");
    const row = (await screen.findByText("Nightly import")).closest("tr") as HTMLElement;
    expect(await within(row).findByText("Records system")).toBeVisible();
    expect(within(row).getByText("2 rights")).toBeVisible();
    expect(within(row).getByText("in 20 days")).toBeVisible();
    expect(within(row).getByText(/old secret/)).toHaveTextContent("in 5 hours");
    const over = screen.getByText("Trial").closest("tr") as HTMLElement;
    expect(within(over).getByText("Expired")).toBeVisible();
  });

  it("get a new secret, with the time that the old one goes on", async () => {
    const asked: unknown[] = [];
    server.use(
      http.post("*/v1/api_keys/:id/rotate", async ({ params, request }) => {
        asked.push([params.id, await request.json()]);
        return HttpResponse.json({ ...KEYS[0], key: "tb_live_anew" });
      }),
    );
    const { user } = openPage("/settings?part=keys");
    await user.click(await screen.findByRole("button", { name: "Change Booking page" }));
    await user.click(await screen.findByRole("menuitem", { name: "Give it a new secret" }));
    await user.selectOptions(await screen.findByLabelText(/The old secret/), "For another hour");
    await user.click(screen.getByRole("button", { name: "New secret" }));
    expect(await screen.findByText("tb_live_anew")).toBeVisible();
    expect(asked).toEqual([["key_1", { overlap_s: 3600 }]]);
  });

  it("of somebody else get no new secret: whoever gets it holds the key", async () => {
    const theirs = makeKey({ id: "key_9", name: "Their job", user_id: "user_2" });
    server.use(http.get("*/v1/api_keys", () => HttpResponse.json(listOf([theirs]))));
    const { user } = openPage("/settings?part=keys");
    await user.click(await screen.findByRole("button", { name: "Change Their job" }));
    expect(await screen.findByRole("menuitem", { name: "Revoke" })).toBeInTheDocument();
    expect(screen.queryByRole("menuitem", { name: "Give it a new secret" })).toBeNull();
  });

  it("are revoked only after a question", async () => {
    const { user } = openPage("/settings?part=keys");
    await user.click(await screen.findByRole("button", { name: "Change Booking page" }));
    await user.click(await screen.findByRole("menuitem", { name: "Revoke" }));
    expect(await screen.findByText(/are refused from now on/)).toBeInTheDocument();
  });
});
