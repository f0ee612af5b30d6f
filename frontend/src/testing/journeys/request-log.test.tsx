import { screen, waitFor } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { listOf, makeSession } from "@/testing/fixtures";
import { KEPT, makeKept } from "@/testing/kept-fixtures";
import { openPage } from "@/testing/open-page";
import { sent } from "@/testing/sent";
import { server } from "@/testing/setup";

const PATH = "*/v1/chat/completions";

describe("the request log", () => {
  it("is turned on by an admin, for some days, without personal data unless they want it", async () => {
    const changes = sent("patch", "*/v1/request_log", {
      object: "request_log",
      is_on: true,
      retention_days: 7,
      is_masked: true,
    });
    const { user } = openPage("/settings?part=workspace");
    await user.click(await screen.findByLabelText("Keep every request"));
    const days = screen.getByLabelText("Days until a request is deleted");
    await user.clear(days);
    await user.type(days, "7");
    await user.click(screen.getByText("Save"));
    expect(await screen.findByText("The request log is on.")).toBeInTheDocument();
    expect(changes.map((one) => one.body)).toEqual([{ is_on: true, retention_days: 7, is_masked: true }]);
  });

  it("is only told to who is no admin", async () => {
    const permissions = makeSession().permissions.filter((one) => one !== "workspace:admin");
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json({ ...makeSession(), permissions })));
    openPage("/settings?part=workspace");
    expect(await screen.findByText("It is off. An admin can turn it on.")).toBeVisible();
    expect(screen.queryByLabelText("Keep every request")).toBeNull();
  });

  it("is searched, and what is picked becomes examples", async () => {
    const asked: URLSearchParams[] = [];
    server.use(
      http.get(PATH, ({ request }) => {
        asked.push(new URL(request.url).searchParams);
        return HttpResponse.json(listOf(KEPT));
      }),
    );
    const made = sent("post", "*/v1/request_log/dataset", { id: "ds_1" });
    const { user, history } = openPage("/playground/kept?from=2026-01-02&to=2026-01-02");
    await user.type(await screen.findByLabelText("Search"), "dog");
    await user.selectOptions(screen.getByLabelText("Show"), "Request log");
    await waitFor(() => expect(asked.at(-1)?.get("q")).toBe("dog"));
    const query = asked.at(-1);
    expect(query?.get("origin")).toBe("logged");
    expect(Number(query?.get("created_before")) - Number(query?.get("created_after"))).toBe(86_400);
    await user.click(await screen.findByLabelText(`Pick: ${KEPT[1]?.question ?? ""}`));
    expect(screen.getByText("1 answer picked")).toBeVisible();
    await user.click(screen.getByText("Make examples of them"));
    await waitFor(() => expect(history.location.pathname).toBe("/data/ds_1"));
    expect(made.map((one) => one.body)).toEqual([{ completion_ids: ["chatcmpl-2"] }]);
  });

  it("has its requests deleted several at once, after a question", async () => {
    const deleted: unknown[] = [];
    server.use(
      http.delete(`${PATH}/:id`, ({ params }) => {
        deleted.push(params.id);
        return HttpResponse.json({ id: params.id, deleted: true });
      }),
    );
    const { user } = openPage("/playground/kept");
    for (const kept of KEPT) await user.click(await screen.findByLabelText(`Pick: ${kept.question}`));
    await user.click(screen.getByText("Delete them"));
    await user.click(await screen.findByText("Delete them for good"));
    expect(await screen.findByText("2 answers were deleted.")).toBeInTheDocument();
    expect(deleted).toEqual(KEPT.map((kept) => kept.id));
  });

  it("says of a request that failed why there is no answer", async () => {
    server.use(
      http.get(`${PATH}/:id`, () =>
        HttpResponse.json(
          makeKept({ origin: "logged", outcome: "failed", error_code: "inference_busy", choices: [] }),
        ),
      ),
    );
    openPage("/playground/kept/chatcmpl-1");
    expect(await screen.findByText("There is no answer")).toBeVisible();
    expect(screen.getByText("The request failed: inference_busy.")).toBeVisible();
  });
});
