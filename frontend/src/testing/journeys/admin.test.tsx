import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { makeLog, WORKERS } from "@/testing/admin-fixtures";
import { makeSession } from "@/testing/fixtures";
import { MODEL_SERVERS } from "@/testing/model-server-fixtures";
import { openPage } from "@/testing/open-page";
import { server } from "@/testing/setup";

describe("the admin's overview", () => {
  it("says which queue does not move and why, and changes a limit", async () => {
    const sent: unknown[] = [];
    server.use(
      http.patch("*/v1/admin/queues/:queue/workspaces/:id", async ({ request, params }) => {
        sent.push(params.queue, params.id, await request.json());
        return HttpResponse.json({});
      }),
    );
    const { user } = openPage("/admin");
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("2 jobs wait, the first for 11 minutes although a worker is free");
    expect(
      screen.getByRole("img", { name: "Training on processors: 2 running, 6 waiting, 1 for later" }),
    ).toBeVisible();
    await user.click(
      screen.getByRole("button", { name: "Change the limit of Riverside Clinic, Training on processors" }),
    );
    await user.type(screen.getByLabelText("Most jobs of Riverside Clinic at once"), "2");
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(sent).toEqual(["cpu", "ws_1", { max_running: 2 }]));
  });

  it("is hidden from others, and explained to who types its address", async () => {
    server.use(
      http.get("*/v1/auth/session", () =>
        HttpResponse.json(makeSession({ permissions: ["runs:read", "workspace:admin"] })),
      ),
    );
    openPage("/admin/jobs/job_1");
    expect(await screen.findByText("You cannot see the machines and jobs of everyone")).toBeVisible();
    expect(screen.getByText(/Whoever set it up can let you in/)).toBeVisible();
    expect(screen.queryByRole("link", { name: "Admin" })).toBeNull();
  });
});

describe("the room for files", () => {
  it("is changed for one workspace, in gigabytes, and given back to the rule for all", async () => {
    const changes: unknown[] = [];
    server.use(
      http.patch("*/v1/admin/workspaces/:id/storage", async ({ request, params }) => {
        changes.push(params.id, await request.json());
        return HttpResponse.json({});
      }),
    );
    const { user } = openPage("/admin/workspaces");
    const change = { name: "Change the room for files of Riverside Clinic" };
    await user.click(await screen.findByRole("button", change));
    const field = screen.getByLabelText("Room for the files of Riverside Clinic, in GB");
    expect(field).toHaveValue("5 GB");
    await user.clear(field);
    await user.type(field, "7.5");
    await user.click(screen.getByRole("button", { name: "Save" }));
    await user.click(await screen.findByRole("button", change));
    await user.clear(screen.getByLabelText("Room for the files of Riverside Clinic, in GB"));
    await user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() =>
      expect(changes).toEqual(["ws_1", { max_bytes: 7_500_000_000 }, "ws_1", { max_bytes: null }]),
    );
  });

  it("is told where spending is, with a warning when it is nearly full", async () => {
    openPage("/usage");
    expect(await screen.findByText("92 % of 5 GB")).toBeVisible();
    expect(screen.getByText("There is little room left")).toBeVisible();
  });
});

describe("a worker", () => {
  it("is drained, and takes jobs again", async () => {
    let status = "working";
    const sent: unknown[] = [];
    server.use(
      http.get("*/v1/admin/workers", () => HttpResponse.json({ data: [{ ...WORKERS[0], status }] })),
      http.post("*/v1/admin/workers/:id/drain", async ({ request, params }) => {
        status = "draining";
        sent.push(params.id, await request.json());
        return HttpResponse.json({ ...WORKERS[0], status });
      }),
      http.post("*/v1/admin/workers/:id/undrain", () => {
        status = "working";
        return HttpResponse.json(WORKERS[0]);
      }),
    );
    const { user } = openPage("/admin/workers");
    await user.click(await screen.findByRole("button", { name: "Drain bench-1" }));
    await user.click(await screen.findByRole("menuitem", { name: /Hand over now/ }));
    expect(await screen.findByText("Takes no more jobs")).toBeVisible();
    expect(sent).toEqual(["wkr_1", { mode: "now" }]);
    await user.click(screen.getByRole("button", { name: "Let bench-1 take jobs again" }));
    expect(await screen.findByText("At work")).toBeVisible();
  });

  it("shows how full its memory and its GPUs are, and what it does", async () => {
    openPage("/admin/workers");
    expect(await screen.findByRole("meter", { name: "H100 80GB, 61 of 80 GB · 93 % busy" })).toBeVisible();
    expect(screen.getByRole("link", { name: "Training Claims helper" })).toHaveAttribute(
      "href",
      "/admin/jobs/job_1",
    );
  });
});

describe("the model servers", () => {
  it("tell what answers for which base model, and what is wrong", async () => {
    openPage("/admin/workers");
    const table = await screen.findByRole("table", { name: "Model servers" });
    const vllm = within(table).getByRole("row", { name: /qwen3-8b/ });
    expect(vllm).toHaveTextContent("vLLM 0.32.0, cut off from the network");
    expect(vllm).toHaveTextContent("Answering");
    expect(within(table).getByRole("row", { name: /smollm2/ })).toHaveTextContent("Tailorbird’s own");
    const ours = within(table).getByRole("row", { name: /smollm2/ });
    expect(ours).toHaveTextContent("806.5 MB");
    expect(ours).toHaveTextContent("always loaded");
    expect(ours).toHaveTextContent("97 % were ready when asked");
    const evicted = within(table).getByRole("row", { name: /qwen3-0.6b/ });
    expect(evicted).toHaveTextContent("Loaded when asked for");
    expect(evicted).toHaveTextContent("4 times made room for others");
    expect(evicted).toHaveTextContent("12 questions told to come back");
    expect(ours).not.toHaveTextContent("told to come back");
    expect(evicted).not.toHaveTextContent("were ready");
    expect(screen.getByText(/take 806.5 MB of the 9.6 GB/)).toBeVisible();
    expect(screen.getByText("llama-3.1-8b-instruct does not answer")).toBeVisible();
    expect(screen.getByText(/vLLM ended \(exit -9\)/)).toBeVisible();
  });

  it("tell that one is missing that should always be loaded", async () => {
    const problem = "The base model Qwen3 8B is not on the model server's disk.";
    server.use(http.get("*/v1/admin/model_servers", () => HttpResponse.json({ ...MODEL_SERVERS, problem })));
    openPage("/admin/workers");
    expect(await screen.findByText("A base model that should always be loaded is not")).toBeVisible();
    expect(screen.getByText(problem)).toBeVisible();
  });

  it("are told as away when nothing answers", async () => {
    const away = {
      object: "list",
      status: "unreachable",
      problem: "It is not running.",
      data: [],
      max_base_bytes: null,
    };
    server.use(http.get("*/v1/admin/model_servers", () => HttpResponse.json(away)));
    openPage("/admin/workers");
    expect(await screen.findByText("The model server does not answer")).toBeVisible();
    expect(screen.queryByRole("table", { name: "Model servers" })).toBeNull();
  });
});

describe("the jobs of all", () => {
  it("are filtered and paged by the address, and searched", async () => {
    const { user, history } = openPage("/admin/jobs");
    const table = await screen.findByRole("table", { name: "Jobs" });
    expect(within(table).getByRole("link", { name: "Reading contracts-2026.xlsx" })).toBeVisible();
    expect(screen.getByRole("link", { name: "Older jobs" })).toHaveAttribute(
      "href",
      "/admin/jobs?after=job_7",
    );
    await user.type(screen.getByLabelText("Search this page"), "okafor");
    expect(within(table).getAllByRole("row")).toHaveLength(2);
    await user.clear(screen.getByLabelText("Search this page"));
    await user.selectOptions(screen.getByLabelText("State"), "Failed");
    await waitFor(() => expect(within(table).getAllByRole("row")).toHaveLength(2));
    expect(history.location.search).toBe("?state=failed");
  });

  it("are killed only after saying what that does", async () => {
    let killed = "";
    server.use(
      http.post("*/v1/admin/jobs/:id/kill", ({ params }) => {
        killed = String(params.id);
        return HttpResponse.json({});
      }),
    );
    const { user } = openPage("/admin/jobs/job_1");
    await user.click(await screen.findByRole("button", { name: "Take it from its worker" }));
    expect(await screen.findByText(/goes on from its last saved place/)).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Take it away" }));
    await waitFor(() => expect(killed).toBe("job_1"));
  });

  it("show each try as a bar with how it ended", async () => {
    openPage("/admin/jobs/job_1");
    const tries = await screen.findByRole("list", { name: "Tries, in order" });
    expect(tries).toHaveTextContent("12 minutes · its worker went silent");
    expect(tries).toHaveTextContent("at work now");
  });
});

describe("a job's log", () => {
  it("follows what the job prints, holds still and goes on", async () => {
    const lines = [makeLog(1, 1, "first line\n")];
    const asked: number[] = [];
    server.use(
      http.get("*/v1/admin/jobs/:id/logs", ({ request }) => {
        const after = Number(new URL(request.url).searchParams.get("after_seq"));
        asked.push(after);
        return HttpResponse.json({ data: lines.filter((line) => line.seq > after), has_more: false });
      }),
    );
    const { user } = openPage("/admin/jobs/job_1");
    const log = await screen.findByLabelText("What the job printed");
    expect(log).toHaveTextContent("first line");
    lines.push(makeLog(2, 1, "10 %\r60 %\r\u001b[32mdone\u001b[0m\n"));
    await waitFor(() => expect(log).toHaveTextContent("first line done"));
    expect(asked.at(-1)).toBeGreaterThanOrEqual(1);
    const section = screen.getByRole("region", { name: "What it prints" });
    await user.click(within(section).getByRole("button", { name: "Hold still" }));
    expect(await screen.findByText(/Held still\. New lines come/)).toBeVisible();
    lines.push(makeLog(3, 1, "third line\n"));
    await user.click(screen.getByRole("button", { name: "Follow" }));
    await waitFor(() => expect(log).toHaveTextContent("third line"));
  });
});

describe("joining a machine", () => {
  it("shows the command once, and revokes only after a question", async () => {
    const { user } = openPage("/admin/join");
    await user.type(await screen.findByLabelText(/Name of the machine/), "Attic");
    await user.click(screen.getByRole("button", { name: "Make its command" }));
    expect(await screen.findByText(/tailorbird worker/)).toBeVisible();
    await user.click(screen.getByRole("button", { name: "I have copied it" }));
    expect(screen.queryByText(/tailorbird worker/)).toBeNull();
    await user.click(screen.getByRole("button", { name: "Revoke Lab rack" }));
    expect(
      await screen.findByText(/1 worker that joined with “Lab rack” saves the place/),
    ).toBeInTheDocument();
  });
});
