import { HttpResponse } from "msw";
import { ApiError } from "@/api/errors";
import { keptUpload, keptUploads } from "@/api/kept-upload";
import { Line } from "@/api/line";
import { giveUp, sendInParts } from "@/api/send-in-parts";
import { refuse } from "@/testing/handlers";
import { server } from "@/testing/setup";
import { makeUploadServer } from "@/testing/upload-handlers";

const TEXT = "question,answer\nWhere can I park?,Behind the house.\nIs it open?,Until six.\n";
const PART_BYTES = 16;
const NUM_PARTS = Math.ceil(TEXT.length / PART_BYTES);
const WORKSPACE = "ws_1";

function bigFile(text = TEXT): File {
  return new File([text], "big.csv", { type: "text/csv", lastModified: 1_700_000_000_000 });
}

function send(file = bigFile(), stopper = new AbortController()) {
  const told = { sent: [] as number[], broken: [] as boolean[] };
  const line = new Line(stopper.signal, (isBroken) => told.broken.push(isBroken), 1);
  const done = sendInParts(file, {
    workspaceId: WORKSPACE,
    line,
    signal: stopper.signal,
    onSent: (bytes) => told.sent.push(bytes),
    partBytes: PART_BYTES,
  });
  return { done, told };
}

describe("a file in parts", () => {
  it("arrives whole and in order, and its progress ends at all of it", async () => {
    const there = makeUploadServer();
    server.use(...there.handlers);
    const { done, told } = send();
    expect((await done).id).toBe("file-1");
    expect(there.whole()).toBe(TEXT);
    expect(there.seen.received).toBe(NUM_PARTS);
    expect(Math.max(...told.sent)).toBe(TEXT.length);
    expect(told.sent.at(-1)).toBe(TEXT.length);
    expect(told.broken).toEqual([]);
    expect(keptUploads(WORKSPACE)).toEqual([]);
  });

  it("is sent on after a broken line and a failing server, and says so meanwhile", async () => {
    const spoiled: Record<number, () => Response> = {
      1: () => HttpResponse.error(),
      3: () => refuse(503, "Storage is away.", "storage_unavailable"),
      4: () => HttpResponse.error(),
    };
    const there = makeUploadServer((number) => spoiled[number]?.());
    server.use(...there.handlers);
    const { done, told } = send();
    await done;
    expect(there.whole()).toBe(TEXT);
    expect(there.seen.received).toBe(NUM_PARTS + 3);
    expect(told.broken[0]).toBe(true);
    expect(told.broken.at(-1)).toBe(false);
  });

  it("goes on after a closed tab with what is missing only", async () => {
    const tab = new AbortController();
    const there = makeUploadServer((number) => {
      if (number > 3) tab.abort();
      return undefined;
    });
    server.use(...there.handlers);
    await expect(send(bigFile(), tab).done).rejects.toThrow("Stopped");
    const kept = keptUpload(WORKSPACE, bigFile());
    const arrived = Object.keys(kept?.parts ?? {}).length;
    expect(arrived).toBeGreaterThan(0);
    const before = there.parts.length;

    const again = makeUploadServer();
    again.parts.push(...there.parts);
    again.seen.begun = 1;
    server.resetHandlers(...again.handlers);
    const { done, told } = send();
    await done;
    expect(again.whole()).toBe(TEXT);
    expect(again.seen.begun).toBe(1);
    expect(again.seen.received).toBe(NUM_PARTS - arrived);
    expect(told.sent[0]).toBe(arrived * PART_BYTES);
    expect(before).toBeGreaterThanOrEqual(arrived);
  });

  it("sends a part again that the file does not hold any more", async () => {
    const tab = new AbortController();
    const there = makeUploadServer((number) => {
      if (number > 4) tab.abort();
      return undefined;
    });
    server.use(...there.handlers);
    await expect(send(bigFile(), tab).done).rejects.toThrow("Stopped");
    const changed = TEXT.replace("question", "Question");
    server.resetHandlers(...there.handlers);
    await send(bigFile(changed)).done;
    expect(there.whole()).toBe(changed);
  });

  it("begins anew when the upload is gone", async () => {
    const tab = new AbortController();
    const first = makeUploadServer((number) => {
      if (number > 1) tab.abort();
      return undefined;
    });
    server.use(...first.handlers);
    await expect(send(bigFile(), tab).done).rejects.toThrow("Stopped");
    const fresh = makeUploadServer();
    server.resetHandlers(...fresh.handlers);
    await send().done;
    expect(fresh.seen.begun).toBe(1);
    expect(fresh.whole()).toBe(TEXT);
  });

  it("that is refused is given up and remembered no longer", async () => {
    const there = makeUploadServer(() => refuse(409, "Enough.", "too_many_parts"));
    server.use(...there.handlers);
    await expect(send().done).rejects.toBeInstanceOf(ApiError);
    expect(there.seen.status).toBe("cancelled");
    expect(keptUploads(WORKSPACE)).toEqual([]);
  });

  it("is forgotten here and there when the person stops it", async () => {
    const tab = new AbortController();
    const there = makeUploadServer((number) => {
      if (number > 1) tab.abort();
      return undefined;
    });
    server.use(...there.handlers);
    await expect(send(bigFile(), tab).done).rejects.toThrow("Stopped");
    await giveUp(WORKSPACE, bigFile());
    expect(there.seen.status).toBe("cancelled");
    expect(keptUploads(WORKSPACE)).toEqual([]);
  });
});

describe("the line", () => {
  it("gives up on a server that answers and fails, and not on one that is out of reach", async () => {
    const line = new Line(new AbortController().signal, () => undefined, 1);
    let calls = 0;
    const failing = line.through(() => {
      calls += 1;
      return Promise.reject(
        new ApiError(500, { message: "", type: "server_error", param: null, code: null }),
      );
    });
    await expect(failing).rejects.toBeInstanceOf(ApiError);
    expect(calls).toBe(6);
  });

  it("goes on at once when the browser is online again", async () => {
    const line = new Line(new AbortController().signal, () => undefined, 3_600_000);
    let calls = 0;
    const done = line.through(() => {
      calls += 1;
      if (calls > 1) return Promise.resolve("there");
      queueMicrotask(() => queueMicrotask(() => setTimeout(() => window.dispatchEvent(new Event("online")))));
      return Promise.reject(new ApiError(0, { message: "", type: "", param: null, code: "unreachable" }));
    });
    await expect(done).resolves.toBe("there");
  });
});
