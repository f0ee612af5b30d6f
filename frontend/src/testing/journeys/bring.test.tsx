import { cleanup, screen } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import type { FileImport } from "@/api/types";
import { kindOfText } from "@/features/datasets/components/kind-of-text";
import { makeFile, makeSession } from "@/testing/fixtures";
import { refuse } from "@/testing/handlers";
import { accessibilityProblems, openPage, settled } from "@/testing/open-page";
import { server } from "@/testing/setup";

function makeImport(changes: Partial<FileImport> = {}): FileImport {
  return {
    id: "import_1",
    object: "file.import",
    created_at: 1,
    status: "running",
    source: "example.com",
    received_bytes: 250,
    total_bytes: 1000,
    error: null,
    file: null,
    ...changes,
  };
}

describe("pasting", () => {
  it("sends the cells of a spreadsheet as a table, and shows them", async () => {
    let sent = "";
    server.use(
      http.post("*/v1/files", async ({ request }) => {
        sent = await ((await request.formData()).get("file") as File).text();
        return HttpResponse.json(makeFile());
      }),
    );
    const { user, history } = openPage("/data/new?from=paste");
    await user.click(await screen.findByLabelText("Your examples"));
    await user.paste("question\tanswer\nq\ta\n");
    expect(screen.getByText("Read as a table; its first line names the columns.")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Look at them" }));
    await screen.findAllByText("Can I move my appointment on Friday to next week?"); // the example, and its column
    expect(history.location.search).toContain("file=file-1");
    expect(sent).toBe("question\tanswer\nq\ta\n");
  });

  it.each([
    ['{"messages": []}', "pasted.jsonl"],
    ["question,answer\nq,a", "pasted.csv"],
    ["question;answer", "pasted.csv"],
    ["Well, this is prose, with commas.\nAnd it goes on.", "pasted.txt"],
    ["", "pasted.txt"],
  ])("takes %j for %s", (text, name) => {
    expect(kindOfText(text)).toBe(name);
  });
});

describe("fetching", () => {
  it("keeps what was pasted for who pasted it, and for nobody else at the same browser", async () => {
    const { user } = openPage("/data/new?from=paste");
    await user.click(await screen.findByRole("textbox"));
    await user.paste("question\tanswer\n");
    cleanup();
    openPage("/data/new?from=paste");
    expect(await screen.findByRole("textbox")).toHaveValue("question\tanswer\n");
    cleanup();
    const other = { id: "user_2", email: "ben@clinic.example", name: "Ben Sato" };
    server.use(http.get("*/v1/auth/session", () => HttpResponse.json(makeSession({ user: other }))));
    openPage("/data/new?from=paste");
    expect(await screen.findByRole("textbox")).toHaveValue("");
  });

  it("asks for a link, follows how far it is, and shows what came", async () => {
    let asked: unknown = null;
    const answers = [makeImport(), makeImport({ status: "succeeded", file: makeFile() })];
    server.use(
      http.post("*/v1/files/import", async ({ request }) => {
        asked = await request.json();
        return HttpResponse.json(makeImport({ status: "queued", received_bytes: 0, total_bytes: null }));
      }),
      http.get("*/v1/files/imports/:id", () => HttpResponse.json(answers.shift() ?? makeImport())),
    );
    const { user, history } = openPage("/data/new?from=link");
    await user.type(await screen.findByLabelText("Link to the file"), "https://example.com/rows.csv");
    await user.click(screen.getByRole("button", { name: "Fetch it" }));
    expect(await screen.findByText("25 % of 1 kB is here")).toBeVisible();
    expect(asked).toEqual({ url: "https://example.com/rows.csv", purpose: "fine-tune" });
    await screen.findAllByText("Can I move my appointment on Friday to next week?"); // the example, and its column
    expect(history.location.search).toContain("file=file-1");
  });

  it("sends the keys of S3 once and says why an address is refused", async () => {
    let asked: unknown = null;
    server.use(
      http.post("*/v1/files/import", async ({ request }) => {
        asked = await request.json();
        return refuse(400, "127.0.0.1 is this machine itself, which is not called from here.", "url_refused");
      }),
    );
    const { user } = openPage("/data/new?from=link");
    await user.click(await screen.findByText("In S3"));
    expect(screen.getByRole("button", { name: "Fetch it" })).toBeDisabled();
    await user.type(screen.getByLabelText("Bucket"), "examples");
    await user.type(screen.getByLabelText("File"), "a/rows.csv");
    await user.type(screen.getByLabelText("Access key"), "reader");
    await user.type(screen.getByLabelText("Secret key"), "s3cret");
    await user.click(screen.getByRole("button", { name: "Fetch it" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("this machine itself");
    const s3 = {
      bucket: "examples",
      key: "a/rows.csv",
      access_key_id: "reader",
      secret_access_key: "s3cret",
    };
    expect(asked).toEqual({ s3, purpose: "fine-tune" });
    expect(JSON.stringify(window.localStorage)).not.toContain("s3cret");
  });

  it("is found again after a refresh, and stopped", async () => {
    server.use(
      http.get("*/v1/files/imports/:id", () => HttpResponse.json(makeImport())),
      http.post("*/v1/files/imports/:id/cancel", () =>
        HttpResponse.json(makeImport({ status: "cancelled" })),
      ),
    );
    const { user } = openPage("/data/new?import=import_1");
    await user.click(await screen.findByRole("button", { name: "Stop" }));
    expect(await screen.findByText("Nothing of it was kept.")).toBeVisible();
  });

  it("says what is wrong with a file that came", async () => {
    const error = {
      code: "header_duplicate",
      message: "The header names a column twice.",
      param: null,
      details: { row: 1, column: "reply", cause: "Two columns are called “reply”.", fix: "Rename one." },
    };
    server.use(
      http.get("*/v1/files/imports/:id", () => HttpResponse.json(makeImport({ status: "failed", error }))),
    );
    openPage("/data/new?import=import_1");
    expect(await screen.findByRole("alert")).toHaveTextContent("At row 1, column “reply”");
  });

  it.each(["/data/new?from=paste", "/data/new?from=link"])(
    "can be used by everyone at %s",
    async (address) => {
      openPage(address);
      await settled();
      expect(await accessibilityProblems()).toEqual([]);
    },
  );
});
