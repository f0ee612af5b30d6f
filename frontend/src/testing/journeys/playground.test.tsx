import { cleanup, screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { ChatRequest } from "@/api/chat";
import type { NewVote } from "@/api/types";
import { BASE, listOf, makeSession, TUNED } from "@/testing/fixtures";
import { eventStream, refuse } from "@/testing/handlers";
import { openPage } from "@/testing/open-page";
import { makeVote } from "@/testing/preference-handlers";
import { server } from "@/testing/setup";

function chunk(content: string): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
}

const DONE = "data: [DONE]\n\n";
const ANSWERS: Record<string, string> = { [TUNED]: "Six places, Mill Lane.", [BASE]: "I do not know." };

/** Answers by the model, and notes what was asked and what was voted. */
function listen() {
  const asked: ChatRequest[] = [];
  const votes: { key: string | null; vote: NewVote }[] = [];
  server.use(
    http.post("*/v1/chat/completions", async ({ request }) => {
      const body = (await request.json()) as ChatRequest;
      asked.push(body);
      return eventStream([chunk(ANSWERS[body.model] ?? "Hm."), DONE]);
    }),
    http.post("*/v1/preferences", async ({ request }) => {
      votes.push({ key: request.headers.get("idempotency-key"), vote: (await request.json()) as NewVote });
      return HttpResponse.json(makeVote());
    }),
  );
  return { asked, votes };
}

describe("comparing blind", () => {
  it("hides who is who until the vote, by the keyboard alone, and goes on from the best answer", async () => {
    const { asked, votes } = listen();
    const { user } = openPage("/playground");
    await user.click(await screen.findByRole("switch", { name: "Compare without knowing which is which" }));
    await user.type(screen.getByLabelText("Your question"), "Where can I park?{Control>}{Enter}{/Control}");
    const group = await screen.findByRole("group", { name: "Which answer is best?" });
    const talk = screen.getByRole("region", { name: "Answer A" }).closest("ol");
    const better = screen.getByText("Six places, Mill Lane.").closest("section");
    const letter = better?.getAttribute("aria-label") === "Answer A" ? "A" : "B";
    const place = letter === "A" ? 0 : 1;
    expect(talk?.textContent).not.toMatch(/Claims helper|SmolLM2/);
    expect(screen.queryByRole("button", { name: /^Code/ })).toBeNull();
    await waitFor(() => expect(group).toHaveFocus());
    // the name of an answer is no vote against all of them
    await user.keyboard("b");
    expect(votes).toEqual([]);
    await user.keyboard(String(place + 1));
    expect(await screen.findByRole("region", { name: `Answer of ${letter} · Claims helper` })).toBeVisible();
    expect(screen.getByText(/You preferred Claims helper/)).toBeVisible();
    const [cast] = votes;
    expect(cast?.key).toMatch(/^[0-9a-f]{32}$/);
    expect(cast?.vote).toMatchObject({ verdict: "best", best: place, is_blind: true });
    expect(cast?.vote.answers.map((answer) => answer.model)).toEqual(
      place === 0 ? [TUNED, BASE] : [BASE, TUNED],
    );
    await waitFor(() => expect(screen.getByLabelText("Your question")).toHaveFocus());
    await user.keyboard("And my bicycle?{Enter}");
    await waitFor(() => expect(asked).toHaveLength(4));
    for (const request of asked.slice(2)) {
      expect(request.messages.map((message) => message.content)).toEqual([
        "Where can I park?",
        "Six places, Mill Lane.",
        "And my bicycle?",
      ]);
    }
  });

  it("says what is wrong when a vote is not kept, and it can be cast again", async () => {
    listen();
    server.use(
      http.post(
        "*/v1/preferences",
        () => refuse(503, "The database does not answer.", "database_unavailable"),
        {
          once: true,
        },
      ),
    );
    const { user } = openPage("/playground");
    await user.type(await screen.findByLabelText("Your question"), "Where can I park?{Enter}");
    await user.click(await screen.findByRole("button", { name: /^Both bad/ }));
    expect(await screen.findByText("The database does not answer.")).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: /^Both bad/ }));
    expect(await screen.findByText("You found none of them good.")).toBeVisible();
  });
});

describe("several models", () => {
  it("answer in their own columns: one that fails leaves the others alone and can be asked again", async () => {
    const { asked } = listen();
    server.use(
      http.post("*/v1/chat/completions", () => refuse(503, "The model is too busy.", "busy"), { once: true }),
    );
    const { user } = openPage("/playground");
    await user.click(await screen.findByRole("button", { name: "Add another" }));
    expect(screen.getByLabelText("Third model")).toBeVisible();
    await user.type(screen.getByLabelText("Your question"), "Where can I park?{Enter}");
    expect(await screen.findByText("The model is too busy.")).toBeVisible();
    expect(await screen.findAllByText("Six places, Mill Lane.")).toHaveLength(2);
    await waitFor(() => expect(asked).toHaveLength(2));
    await user.click(screen.getByRole("button", { name: "Ask again" }));
    await waitFor(() => expect(screen.queryByText("The model is too busy.")).toBeNull());
  });

  it("may be one with two prompts, and what is set is sent", async () => {
    const { asked } = listen();
    const { user } = openPage(`/playground?left=${BASE}&right=${BASE}`);
    const own = await screen.findAllByText("A prompt of its own");
    await user.click(own[1] ?? document.body);
    await waitFor(() => expect(screen.getAllByLabelText("Take a saved prompt")).toHaveLength(2));
    const saved = screen.getAllByLabelText("Take a saved prompt")[1] ?? document.body;
    await user.selectOptions(saved, "support-bot, version 2");
    await user.click(screen.getByText("How they answer"));
    await user.type(screen.getByLabelText("What all are told first"), "Be brief.");
    await user.type(screen.getByLabelText("Repeatable (seed)"), "7");
    await user.type(screen.getByLabelText("End before (stop)"), "###");
    await user.type(screen.getByLabelText("Your question"), "Hello{Enter}");
    await waitFor(() => expect(asked).toHaveLength(2));
    const told = asked.map((request) => request.messages[0]?.content);
    expect(told).toEqual(["Be brief.", "You answer customers of a clinic. Be short and kind."]);
    expect(asked[0]).toMatchObject({ temperature: 0.3, max_tokens: 1024, seed: 7, stop: ["###"] });
    expect(asked[0]).not.toHaveProperty("store");
  });

  it("stop at Escape, and what was said stays", async () => {
    server.use(
      http.post("*/v1/chat/completions", () =>
        eventStream([chunk("Well, "), ...Array<string>(500).fill(": .\n\n")], 20),
      ),
    );
    const { user } = openPage(`/playground?left=${BASE}`);
    await user.type(await screen.findByLabelText("Your question"), "Hello{Enter}");
    expect(await screen.findByText("Well,", { exact: false })).toBeVisible();
    await user.keyboard("{Escape}");
    expect(await screen.findByText("You stopped it here.")).toBeVisible();
    expect(screen.getByRole("button", { name: "Ask again" })).toBeVisible();
  });

  it("and what was said are there again after a refresh, with the question that was not asked yet", async () => {
    listen();
    const { user } = openPage("/playground");
    await user.type(await screen.findByLabelText("Your question"), "Where can I park?{Enter}");
    await screen.findByText("Six places, Mill Lane.");
    await user.type(screen.getByLabelText("Your question"), "And my bicycle");
    cleanup();
    openPage("/playground");
    expect(await screen.findByText("Six places, Mill Lane.")).toBeVisible();
    expect(screen.getByLabelText("Your question")).toHaveValue("And my bicycle");
  });

  it("that were left in the middle keep the question and what was said till then", async () => {
    server.use(
      http.post("*/v1/chat/completions", () =>
        eventStream([chunk("Well, "), ...Array<string>(500).fill(": .\n\n")], 20),
      ),
    );
    const { user } = openPage(`/playground?left=${BASE}`);
    await user.type(await screen.findByLabelText("Your question"), "Where can I park?{Enter}");
    expect(await screen.findByText("Well,", { exact: false })).toBeVisible();
    window.dispatchEvent(new Event("pagehide"));
    const kept = JSON.stringify(Object.entries(window.sessionStorage));
    cleanup();
    expect(kept).toContain("Where can I park?");
    openPage(`/playground?left=${BASE}`);
    expect(await screen.findByText("Where can I park?")).toBeVisible();
    expect(screen.getByText("Well,", { exact: false })).toBeVisible();
    expect(screen.getByRole("button", { name: "Ask again" })).toBeVisible();
  });

  it("are not shown to who signs in next at the same browser", async () => {
    listen();
    const { user } = openPage("/playground");
    await user.type(await screen.findByLabelText("Your question"), "Where can I park?{Enter}");
    await screen.findByText("Six places, Mill Lane.");
    await user.type(screen.getByLabelText("Your question"), "And my bicycle");
    cleanup();
    const other = { id: "user_2", email: "ben@clinic.example", name: "Ben Sato" };
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ user: other }))));
    openPage("/playground");
    expect(await screen.findByLabelText("Your question")).toHaveValue("");
    expect(screen.queryByText("Six places, Mill Lane.")).toBeNull();
  });

  it("show the very request as code", async () => {
    listen();
    const { user } = openPage(`/playground?left=${BASE}`);
    await user.type(await screen.findByLabelText("Your question"), "It's me{Enter}");
    await user.click(await screen.findByLabelText("Code: SmolLM2 135M Instruct"));
    const code = await screen.findByLabelText(/^Put a key of yours/);
    expect(code.textContent).toContain(`"content": "It'\\''s me"`);
    await user.click(screen.getByText("Python"));
    expect(screen.getByLabelText(/^Put a key of yours/).textContent).toContain("temperature=0.3,");
  });
});

describe("votes", () => {
  it("say who wins and how sure that is", async () => {
    openPage("/playground/votes");
    const table = await screen.findByRole("table", { name: "Who wins" });
    const [, first, second, third] = within(table).getAllByRole("row");
    expect(first).toHaveTextContent(/Claims helper.*22 : 6.*61 % to 90 %/);
    expect(second).toHaveTextContent("Cannot be told apart");
    expect(third).toHaveTextContent("Too few to say (3 votes)");
  });

  it("become examples at a click", async () => {
    const { user, history } = openPage("/playground/votes");
    await user.click(await screen.findByRole("button", { name: "Make examples of them" }));
    await waitFor(() => expect(history.location.pathname).toBe("/data/ds_1"));
  });

  it("say where to begin where there is none", async () => {
    server.use(http.get("*/v1/preferences", () => HttpResponse.json(listOf([]))));
    openPage("/playground/votes");
    expect(await screen.findByText("No votes yet")).toBeVisible();
  });
});
