import { screen } from "@testing-library/react";
import { http } from "msw";
import { TUNED } from "@/testing/fixtures";
import { eventStream } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

function chunk(content: string): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
}

describe("the playground", () => {
  it("asks both models the same question and writes both answers", async () => {
    const asked: { model: string; messages: { role: string; content: string }[] }[] = [];
    server.use(
      http.post("*/v1/chat/completions", async ({ request }) => {
        const body = (await request.json()) as (typeof asked)[number];
        asked.push(body);
        const words = body.model === TUNED ? ["Six places, ", "Mill Lane."] : ["I do ", "not know."];
        return eventStream([": warm\n\n", ...words.map(chunk), "data: [DONE]\n\n"]);
      }),
    );
    const { user } = openPage("/playground");
    await user.type(await screen.findByLabelText("Your question"), "Where can I park?{Enter}");
    expect(await screen.findByText("Six places, Mill Lane.")).toBeVisible();
    expect(await screen.findByText("I do not know.")).toBeVisible();
    await user.type(screen.getByLabelText("Your question"), "And my bicycle?{Enter}");
    await vi.waitFor(() => expect(asked).toHaveLength(4));
    expect(asked[3]?.messages.map((message) => message.role)).toEqual(["user", "assistant", "user"]);
  });

  it("shows the reason when an answer breaks off", async () => {
    const failure = {
      error: { message: "The model is too busy.", type: "server_error", param: null, code: "busy" },
    };
    server.use(
      http.post("*/v1/chat/completions", () =>
        eventStream([chunk("Well"), `data: ${JSON.stringify(failure)}\n\n`]),
      ),
    );
    const { user } = openPage(`/playground?left=${encodeURIComponent(TUNED)}`);
    await user.type(await screen.findByLabelText("Your question"), "Hello{Enter}");
    expect(await screen.findByText("The model is too busy.")).toBeVisible();
  });
});
