import { screen, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { BASE, listOf, makeSession, TUNED } from "@/testing/fixtures";
import { eventStream, refuse } from "@/testing/handlers";
import { KEPT, KEPT_MESSAGES, makeKept, REQUEST_LOG } from "@/testing/kept-fixtures";
import { MODELS } from "@/testing/model-fixtures";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

const PATH = "*/v1/chat/completions";

describe("kept answers", () => {
  it("are asked for with a switch in the playground", async () => {
    const stores: unknown[] = [];
    server.use(
      http.post(PATH, async ({ request }) => {
        stores.push(((await request.json()) as { store?: boolean }).store);
        return eventStream(["data: [DONE]\n\n"]);
      }),
    );
    const { user } = openPage("/playground?left=smollm2-135m-instruct");
    await user.type(await screen.findByLabelText("Your question"), "One{Enter}");
    await user.click(await screen.findByRole("switch", { name: "Keep the answers" }));
    await user.type(screen.getByLabelText("Your question"), "Two{Enter}");
    await vi.waitFor(() => expect(stores).toHaveLength(2));
    expect(stores).toEqual([undefined, true]);
  });

  it("are said to be kept anyway, in place of the switch, while the request log is on", async () => {
    server.use(http.get("*/v1/request_log", () => HttpResponse.json({ ...REQUEST_LOG, is_on: true })));
    openPage("/playground");
    expect(await screen.findByText(/What is asked here is kept for 30 days/)).toBeVisible();
    expect(screen.queryByRole("switch", { name: "Keep the answers" })).toBeNull();
  });

  it("are listed newest first and opened with what was asked", async () => {
    const asked: URLSearchParams[] = [];
    server.use(
      http.get(PATH, ({ request }) => {
        asked.push(new URL(request.url).searchParams);
        return HttpResponse.json(listOf(KEPT));
      }),
    );
    const { user } = openPage("/playground/kept");
    const table = await screen.findByRole("table", { name: "Kept answers" });
    expect(asked[0]?.get("order")).toBe("desc");
    await user.click(within(table).getByRole("link", { name: "Can I move my appointment to next week?" }));
    expect(await screen.findByText("You answer for a clinic. Be brief.")).toBeVisible();
    expect(screen.getByText(/Which days suit you/)).toBeVisible();
    expect(screen.getByText("from: the booking page")).toBeVisible();
  });

  it("name the model as people do, with its page, and its id to copy", async () => {
    const { user } = openPage("/playground/kept");
    const table = await screen.findByRole("table", { name: "Kept answers" });
    const tuned = await within(table).findByRole("link", { name: "Claims helper" });
    expect(tuned).toHaveAttribute("href", `/models/${encodeURIComponent(TUNED)}`);
    await user.hover(tuned);
    expect(await screen.findByRole("tooltip")).toHaveTextContent(TUNED);
    const base = within(table).getByRole("link", { name: "SmolLM2 135M Instruct" });
    expect(base).toHaveAttribute("href", `/models/${BASE}`);
    await user.click(within(table).getByRole("link", { name: KEPT[0]?.question ?? "" }));
    await user.click(await screen.findByRole("button", { name: "Copy the id of Claims helper" }));
    expect(await navigator.clipboard.readText()).toBe(TUNED);
  });

  it("name a checkpoint, a stable name and a model that is gone", async () => {
    const gone = "ft:smollm2-135m-instruct:clinic:night-desk:ffffffff";
    const asked = [`${TUNED}:ckpt-step-88`, "support-bot", gone];
    const kept = asked.map((model, at) =>
      makeKept({ id: `chatcmpl-${at}`, model, question: `Question ${at}` }),
    );
    const alias = { ...MODELS[1], id: "support-bot", kind: "alias", name: "support-bot" };
    server.use(
      http.get(PATH, () => HttpResponse.json(listOf(kept))),
      http.get("*/v1/models", () => HttpResponse.json(listOf([...MODELS, alias]))),
    );
    openPage("/playground/kept");
    const table = within(await screen.findByRole("table", { name: "Kept answers" }));
    const checkpoint = await table.findByRole("link", { name: "Claims helper, step 88" });
    expect(checkpoint).toHaveAttribute("href", `/models/${encodeURIComponent(asked[0] ?? "")}`);
    expect(table.getByRole("link", { name: "support-bot" })).toHaveAttribute("href", "/aliases/support-bot");
    expect(table.getByText("night-desk")).toBeVisible();
    expect(table.queryByRole("link", { name: "night-desk" })).toBeNull();
  });

  it("are read in pages, and all messages are fetched", async () => {
    server.use(
      http.get(PATH, ({ request }) => {
        const after = new URL(request.url).searchParams.get("after");
        const one = makeKept(after ? { id: "chatcmpl-0", question: "An old question" } : {});
        return HttpResponse.json({ ...listOf([one]), has_more: !after, last_id: one.id });
      }),
      http.get(`${PATH}/:id/messages`, ({ request }) => {
        const at = KEPT_MESSAGES.findIndex(
          (message) => message.id === new URL(request.url).searchParams.get("after"),
        );
        const next = KEPT_MESSAGES.slice(at + 1, at + 2);
        return HttpResponse.json({ ...listOf(next), has_more: at + 2 < KEPT_MESSAGES.length });
      }),
    );
    const { user } = openPage("/playground/kept");
    await user.click(await screen.findByRole("link", { name: "Older answers" }));
    expect(await screen.findByRole("link", { name: "An old question" })).toBeVisible();
    await user.click(screen.getByRole("link", { name: "Back to the newest" }));
    await user.click(await screen.findByRole("link", { name: KEPT[0]?.question ?? "" }));
    expect(await screen.findByText("You answer for a clinic. Be brief.")).toBeVisible();
    expect(screen.getByText("Can I move my appointment to next week?")).toBeVisible();
  });

  it("are deleted for good, after a question", async () => {
    const deleted: unknown[] = [];
    server.use(
      http.delete(`${PATH}/:id`, ({ params }) => {
        deleted.push(params.id);
        return HttpResponse.json({ id: params.id, deleted: true });
      }),
    );
    const { user, history } = openPage("/playground/kept/chatcmpl-1");
    await user.click(await screen.findByRole("button", { name: "Delete" }));
    expect(await screen.findByText(/neither can be brought back/)).toBeInTheDocument();
    expect(deleted).toEqual([]);
    await user.click(screen.getByRole("button", { name: "Delete it for good" }));
    await vi.waitFor(() => expect(history.location.pathname).toBe("/playground/kept"));
    expect(deleted).toEqual(["chatcmpl-1"]);
  });

  it("cannot be deleted by who may only read them", async () => {
    const permissions = makeSession().permissions.filter((one) => one !== "datasets:write");
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json({ ...makeSession(), permissions })));
    openPage("/playground/kept/chatcmpl-1");
    expect(await screen.findByText(/Which days suit you/)).toBeVisible();
    expect(screen.queryByRole("button", { name: "Delete" })).toBeNull();
  });

  it("say how to keep one where there is none", async () => {
    server.use(http.get(PATH, () => HttpResponse.json(listOf([]))));
    openPage("/playground/kept");
    expect(await screen.findByText("Nothing is kept yet")).toBeVisible();
    expect(screen.getByText(/store=True,/)).toBeVisible();
  });

  it("show what is wrong, and who can let one in", async () => {
    server.use(http.get(PATH, () => refuse(503, "The database does not answer.", "database_unavailable")));
    openPage("/playground/kept");
    expect(await screen.findByText("The database does not answer.")).toBeVisible();
  });

  it("are not shown to who may not use the playground", async () => {
    const permissions = makeSession().permissions.filter((one) => one !== "chat:use");
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json({ ...makeSession(), permissions })));
    openPage("/playground/kept");
    expect(await screen.findByText("You cannot see kept answers")).toBeVisible();
  });
});
