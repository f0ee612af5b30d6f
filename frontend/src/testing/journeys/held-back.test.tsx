import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { listOf, makeDataset, makeVersion } from "@/testing/fixtures";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";
import { HISTORY } from "@/testing/version-fixtures";

describe("what is held back", () => {
  async function openChoice(changes: Parameters<typeof makeVersion>[0]) {
    const sent: unknown[] = [];
    server.use(
      http.get("*/v1/datasets/:id", () =>
        HttpResponse.json(makeDataset({ latest_version: makeVersion(changes) })),
      ),
      http.post("*/v1/dataset_versions/:id/changes", async ({ request }) => {
        sent.push(await request.json());
        return HttpResponse.json(makeVersion({ status: "validating" }));
      }),
    );
    const { user } = openPage("/data/ds_1");
    await user.click(await screen.findByRole("button", { name: "Choose others" }));
    const dialog = within(await screen.findByRole("dialog", { name: "Which examples are held back?" }));
    return { user, dialog, sent };
  }

  it("is the newest share by date, when that is chosen", async () => {
    const { user, dialog, sent } = await openChoice({ num_rows: 1204, num_dated: 1200 });
    expect(dialog.getByText(/4 examples without a date that can be read are learned from/)).toBeVisible();
    await user.click(dialog.getByRole("radio", { name: /By date/ }));
    const size = dialog.getByLabelText("How many, in percent");
    expect(size).toHaveValue("10");
    await user.clear(size);
    expect(dialog.getByRole("button", { name: "Hold these back" })).toBeDisabled();
    await user.type(size, "20");
    await user.click(dialog.getByRole("button", { name: "Hold these back" }));
    await waitFor(() =>
      expect(sent).toEqual([{ changes: [{ type: "resplit", strategy: "by_time", fraction: 0.2 }] }]),
    );
  });

  it("is told of as being made only for as long as it is", async () => {
    const [now, ...before] = HISTORY;
    let isMade = false;
    server.use(
      http.get("*/v1/datasets/:id/versions", () => {
        const status = isMade ? ("ready" as const) : ("validating" as const);
        isMade = true;
        return HttpResponse.json(listOf([{ ...now, status }, ...before]));
      }),
    );
    openPage("/data/ds_1");
    expect(await screen.findByText(/being made/)).toBeVisible();
    await waitFor(() => expect(screen.queryByText(/being made/)).toBeNull(), { timeout: 10_000 });
  });

  it("cannot be chosen by date where no example has one, and says what to do", async () => {
    const { dialog } = await openChoice({ num_dated: 0 });
    expect(dialog.getByRole("radio", { name: /By date/ })).toBeDisabled();
    expect(dialog.getByText(/No example has a date/)).toBeVisible();
  });

  it("cannot be some of each tag where nothing is tagged, and says how to tag", async () => {
    server.use(
      http.get("*/v1/dataset_versions/:id/tags", () => HttpResponse.json({ object: "row_tags", tags: [] })),
    );
    const { dialog } = await openChoice({});
    await waitFor(() => expect(dialog.getByRole("radio", { name: /Some of each tag/ })).toBeDisabled());
    expect(dialog.getByText(/No example has a tag/)).toBeVisible();
  });

  it("can be some of each tag where there are tags, and of each answer where there are answers", async () => {
    const { user, dialog, sent } = await openChoice({});
    await user.click(dialog.getByRole("radio", { name: /Some of each tag/ }));
    await user.click(dialog.getByRole("button", { name: "Hold these back" }));
    await waitFor(() =>
      expect(sent).toEqual([{ changes: [{ type: "resplit", strategy: "by_tag", fraction: 0.1 }] }]),
    );
  });

  it("is never some of each answer where the examples are texts", async () => {
    const { dialog } = await openChoice({ kind: "text" });
    expect(dialog.getByRole("radio", { name: /By chance/ })).toBeVisible();
    expect(dialog.queryByRole("radio", { name: /Some of each answer/ })).toBeNull();
  });
});
