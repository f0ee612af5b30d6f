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
});
