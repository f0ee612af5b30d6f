import { QueryClient } from "@tanstack/react-query";
import { createAppRouter } from "@/app/router";
import { TUNED } from "@/testing/fixtures";
import { BROUGHT_ID } from "@/testing/import-handlers";
import { accessibilityProblems, openPage, settled } from "@/testing/open-page";

/** Words that need a course. They are allowed only for engineers: in tips, under Advanced, in logs and in code. */
const JARGON =
  /\b(lora|qlora|epochs?|adapters?|hyperparameters?|fine-tun\w*|loss|inference|checkpoints?|learning rate|batch|perplexity|gradients?|quantiz\w*|datasets?|SFT)\b/i;

const PAGES = [
  "/sign-in",
  "/sign-in?problem=oidc_not_linked",
  "/forgot-password",
  "/reset-password",
  "/reset-password#a-token",
  "/setup",
  "/setup#a-token",
  "/",
  "/data",
  "/data/new",
  "/data/new?file=file-1",
  "/data/erase",
  "/data/erase?id=erase_1",
  "/data/erase?id=erase_2",
  "/data/erase?id=erase_3",
  "/data/erase?id=erase_4",
  "/data/erase?id=erase_5",
  "/data/ds_1",
  "/data/ds_3",
  "/data/ds_4",
  "/data/ds_5",
  "/data/ds_1/rows",
  "/data/ds_1/rows?q=nothing+like+it",
  "/data/ds_3/rows?row=2",
  "/train",
  "/train/new",
  "/train/new?dataset=ds_3",
  "/train/new?dataset=ds_4",
  "/train/ftjob-1",
  "/train/ftjob-2",
  "/train/ftjob-3",
  "/train/ftjob-4",
  "/train/ftjob-7",
  "/train/ftjob-8",
  "/train/new?from=ftjob-2",
  "/models",
  "/models/bring",
  "/models/bring?id=import_1",
  "/models/bring?id=import_2",
  "/models/bring?id=import_3",
  "/models/bring?id=import_4",
  `/models/${encodeURIComponent(BROUGHT_ID)}`,
  `/models/${encodeURIComponent(TUNED)}`,
  "/aliases",
  "/aliases/support-bot",
  "/playground",
  "/playground/votes",
  "/playground/kept",
  "/playground/kept/chatcmpl-1",
  "/playground/kept/chatcmpl-2",
  "/usage",
  "/settings",
  "/settings?part=sessions",
  "/settings?part=keys",
  "/settings?part=members",
  "/settings?part=workspace",
  "/settings?part=webhooks",
  "/settings/webhooks/whe_1",
  "/settings/webhooks/whe_2",
  "/settings/webhooks/whe_3",
  "/settings/webhooks/whe_0",
  "/settings?part=audit",
  "/settings?part=audit&q=nothing+like+it",
  "/admin/audit",
  "/admin",
  "/admin/workers",
  "/admin/jobs",
  "/admin/jobs/job_1",
  "/admin/jobs/job_5",
  "/admin/join",
  "/admin/workspaces",
  "/join?token=one",
  "/nowhere",
];

function visibleWords(): string {
  const copy = document.body.cloneNode(true) as HTMLElement;
  copy.querySelectorAll("details, pre, code, script, style").forEach((node) => node.remove());
  return copy.textContent;
}

it("is told of every page that there is", () => {
  const opened = PAGES.map((address) => address.replace(/[?#].*/, ""));
  const paths = Object.keys(createAppRouter(new QueryClient()).routesByPath);
  const missing = paths.filter((path) => {
    const fits = new RegExp(`^${path.replace(/\$\w+/g, "[^/]+")}$`);
    return !opened.some((address) => fits.test(address));
  });
  expect(paths.length).toBeGreaterThan(20);
  expect(missing).toEqual([]);
});

describe.each(PAGES)("the page %s", (address) => {
  it("passes axe and speaks plainly", async () => {
    openPage(address);
    await settled();
    expect(await accessibilityProblems()).toEqual([]);
    expect(JARGON.exec(visibleWords())?.[0] ?? null).toBeNull();
  });
});
