import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { listOf, makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";
import { makeDelivery, makeWebhook } from "@/testing/webhook-fixtures";

function heard(method: "post" | "delete", path: string) {
  const bodies: unknown[] = [];
  server.use(
    http[method](path, async ({ request }) => {
      bodies.push(method === "post" ? await request.clone().json() : null);
      return undefined;
    }),
  );
  return bodies;
}

describe("the list", () => {
  it("says in plain words what a webhook is while there is none, and offers to add one", async () => {
    server.use(http.get("*/v1/webhook_endpoints", () => HttpResponse.json(listOf([]))));
    openPage("/settings?part=webhooks");
    expect(await screen.findByRole("heading", { name: "No webhooks yet" })).toBeVisible();
    expect(screen.getByText(/calls a program of yours when something happens/)).toBeVisible();
    expect(screen.getByRole("button", { name: "Add a webhook" })).toBeVisible();
  });

  it("tells which of them are in trouble", async () => {
    openPage("/settings?part=webhooks");
    const table = await screen.findByRole("table", { name: "Webhooks" });
    const states = ["Old intranet", "Booking page", "Claims desk"].map(
      (name) => within(table).getByRole("row", { name: new RegExp(name) }).textContent,
    );
    expect(states[0]).toContain("Switched off: nothing arrived");
    expect(states[1]).toContain("On, but calls fail");
    expect(states[2]).toContain("On");
  });

  it("is not there for who may not manage them", async () => {
    server.use(
      http.get("*/v1/auth/session", () =>
        HttpResponse.json(makeSession({ role: "member", permissions: ["members:read", "keys:manage"] })),
      ),
    );
    openPage("/settings?part=webhooks");
    expect(await screen.findByRole("heading", { name: "You cannot see the webhooks" })).toBeVisible();
    expect(screen.queryByRole("tab", { name: "Webhooks" })).toBeNull();
  });
});

describe("adding one", () => {
  it("says at once why an address is refused, keeps what was typed, and then shows the secret once", async () => {
    const sent: unknown[] = [];
    const why = "10.0.0.1 is a private network, which is not called from here.";
    server.use(
      http.post("*/v1/webhook_endpoints", async ({ request }) => {
        const body = (await request.clone().json()) as { url: string };
        sent.push(body);
        if (!body.url.includes("10.0.0.1")) return undefined;
        const error = { message: why, type: "invalid_request_error", param: "url", code: "url_refused" };
        return HttpResponse.json({ error }, { status: 400 });
      }),
    );
    const { user } = openPage("/settings?part=webhooks");
    await user.click(await screen.findByRole("button", { name: "Add a webhook" }));
    await user.type(screen.getByLabelText(/Name/), "Ward");
    const address = screen.getByLabelText(/Address/);
    await user.type(address, "https://10.0.0.1/");
    await user.click(screen.getByLabelText(/A run was stopped/));
    await user.click(screen.getByRole("button", { name: "Add the webhook" }));
    expect(await screen.findByText(why)).toBeVisible();
    expect(screen.getByLabelText(/Name/)).toHaveValue("Ward");
    await user.clear(address);
    await user.type(address, "https://ward.example/hooks");
    await user.click(screen.getByRole("button", { name: "Add the webhook" }));
    const shown = await screen.findByLabelText("The secret of “Ward”");
    expect(shown).toHaveTextContent(/^whsec_/);
    expect(sent[1]).toEqual({
      name: "Ward",
      url: "https://ward.example/hooks",
      event_types: ["fine_tuning.job.succeeded", "fine_tuning.job.failed"],
    });
    await user.click(screen.getByRole("button", { name: "I have copied it" }));
    expect(screen.queryByText(/whsec_b25/)).toBeNull();
  });

  it("needs an event", async () => {
    const { user } = openPage("/settings?part=webhooks");
    await user.click(await screen.findByRole("button", { name: "Add a webhook" }));
    for (const event of [/A model is ready/, /A run failed/, /A run was stopped/]) {
      await user.click(screen.getByLabelText(event));
    }
    expect(screen.getByRole("button", { name: "Add the webhook" })).toBeDisabled();
    expect(screen.getByText("Choose at least one event.")).toBeVisible();
  });
});

describe("one webhook", () => {
  it("is tried, and shows what came back", async () => {
    const sent = heard("post", "*/v1/webhook_endpoints/whe_1/test");
    const { user } = openPage("/settings/webhooks/whe_1");
    await user.selectOptions(await screen.findByLabelText("As if"), "A run failed");
    await user.click(screen.getByRole("button", { name: "Send a test" }));
    expect(await screen.findByText("It arrived")).toBeVisible();
    expect(sent).toEqual([{ event_type: "fine_tuning.job.failed" }]);
  });

  it("says why no answer came to a test", async () => {
    const why = "No connection to claims.clinic.example, port 443: Connection refused.";
    server.use(http.post("*/v1/webhook_endpoints/:id/test", () => refuse(400, why, "webhook_unreachable")));
    const { user } = openPage("/settings/webhooks/whe_1");
    await user.click(await screen.findByRole("button", { name: "Send a test" }));
    expect(await screen.findByText(why)).toBeVisible();
  });

  it("shows every try of what was sent, and sends it again", async () => {
    let replayed: unknown = null;
    server.use(
      http.post("*/v1/webhook_endpoints/:id/deliveries/:delivery/replay", ({ params }) => {
        replayed = params.delivery;
        return HttpResponse.json(makeDelivery({ status: "pending" }));
      }),
    );
    const { user } = openPage("/settings/webhooks/whe_1");
    const log = await screen.findByRole("list", { name: "What was sent" });
    const row = within(log)
      .getAllByText(/^A run failed$/)[1]
      ?.closest("li") as HTMLElement;
    expect(within(row).getByText("Did not arrive")).toBeVisible();
    await user.click(within(row).getByText("A run failed"));
    expect(within(row).getByText(/Answered 404, so there is nothing at this address/)).toBeVisible();
    expect(within(row).getByText(/"type":"fine_tuning.job.failed"/)).toBeVisible();
    await user.click(within(row).getByRole("button", { name: "Send it again" }));
    await waitFor(() => expect(replayed).toBe("whd_2"));
    expect(await screen.findByText("It is sent again now.")).toBeVisible();
  });

  it("keeps its filter in the address", async () => {
    const { user, history } = openPage("/settings/webhooks/whe_1");
    await user.selectOptions(await screen.findByLabelText("Show"), "Did not arrive");
    await waitFor(() => expect(history.location.search).toBe("?status=failed"));
    const log = await screen.findByRole("list", { name: "What was sent" });
    await waitFor(() => expect(within(log).queryByText("Arrived")).toBeNull());
  });

  it("gets a new secret, by default with a day for the old one", async () => {
    const sent = heard("post", "*/v1/webhook_endpoints/whe_1/rotate_secret");
    const { user } = openPage("/settings/webhooks/whe_1");
    await user.click(await screen.findByRole("button", { name: "New secret" }));
    const dialog = await screen.findByRole("dialog");
    await user.click(within(dialog).getByRole("button", { name: "Make a new secret" }));
    expect(await screen.findByLabelText("The secret of “Claims desk”")).toHaveTextContent(/^whsec_/);
    expect(sent).toEqual([{ keep_old_secret_active_for_24_hours: true }]);
  });

  it("is switched off after a warning, and on without one", async () => {
    const sent = heard("post", "*/v1/webhook_endpoints/:id");
    const { user, history } = openPage("/settings/webhooks/whe_3");
    await user.click(await screen.findByRole("button", { name: "Switch it off" }));
    const dialog = await screen.findByRole("dialog");
    expect(dialog).toHaveTextContent("2 messages that wait are given up");
    await user.click(within(dialog).getByRole("button", { name: "Switch it off" }));
    await waitFor(() => expect(sent).toEqual([{ disabled: true }]));
    history.push("/settings/webhooks/whe_2");
    expect(await screen.findByText(/because nothing arrived for three days/)).toBeVisible();
    await user.click(await screen.findByRole("button", { name: "Switch it on" }));
    await waitFor(() => expect(sent).toEqual([{ disabled: true }, { disabled: false }]));
  });

  it("is edited in place", async () => {
    const sent = heard("post", "*/v1/webhook_endpoints/:id");
    const { user } = openPage("/settings/webhooks/whe_1");
    await user.click(await screen.findByRole("button", { name: "Edit" }));
    const name = screen.getByLabelText(/Name/);
    await user.clear(name);
    await user.type(name, "Claims");
    await user.click(screen.getByRole("button", { name: "Save" }));
    const { url, event_types } = makeWebhook();
    await waitFor(() => expect(sent).toEqual([{ name: "Claims", url, event_types }]));
    expect(await screen.findByRole("button", { name: "Send a test" })).toBeVisible();
  });

  it("is deleted after a question, and the list is shown", async () => {
    const { user, history } = openPage("/settings/webhooks/whe_1");
    await user.click(await screen.findByRole("button", { name: "Delete" }));
    await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Delete it" }));
    await waitFor(() => expect(history.location.href).toBe("/settings?part=webhooks"));
    expect(await screen.findByRole("table", { name: "Webhooks" })).toBeVisible();
  });

  it("that is not there any more is said to be so", async () => {
    openPage("/settings/webhooks/whe_0");
    expect(await screen.findByRole("heading", { name: "There is nothing here any more" })).toBeVisible();
  });
});
