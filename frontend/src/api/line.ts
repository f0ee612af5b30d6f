import { ApiError } from "@/api/errors";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
/** Of a server that answers, and each time with a failure; one that is out of reach is waited for. */
const MAX_FAILURES = 6;

/** The way to the server, which may break: what fails by it is tried again, and whoever looks is told of the wait. */
export class Line {
  private numWaiting = 0;

  constructor(
    private readonly signal: AbortSignal,
    private readonly onBroken: (isBroken: boolean) => void,
    private readonly firstWaitMs: number = FIRST_WAIT_MS,
  ) {}

  /** `attempt`, again and again until it succeeds, is refused, or the person stops it. */
  async through<T>(attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (this.signal.aborted || !mayPass(error, failures)) throw error;
      }
      await this.wait(Math.min(this.firstWaitMs * 2 ** (failures - 1), LONGEST_WAIT_MS));
    }
  }

  private async wait(ms: number): Promise<void> {
    this.numWaiting += 1;
    if (this.numWaiting === 1) this.onBroken(true);
    try {
      await pause(ms, this.signal);
    } finally {
      this.numWaiting -= 1;
      if (this.numWaiting === 0) this.onBroken(false);
    }
  }
}

/** Whether the line or the server's state was in the way, and not what was sent. */
function mayPass(error: unknown, failures: number): boolean {
  if (!(error instanceof ApiError)) return false;
  if (error.code === "unreachable") return true;
  const isBusy = error.code === "request_in_flight" || [408, 425, 429].includes(error.status);
  const isBroken = error.status >= 500 && error.status !== 501 && error.status !== 507;
  return isBusy || (isBroken && failures < MAX_FAILURES);
}

/** Over at once when the browser is online again. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const clear = () => {
      clearTimeout(timer);
      window.removeEventListener("online", goOn);
      signal.removeEventListener("abort", stop);
    };
    const goOn = () => {
      clear();
      resolve();
    };
    const stop = () => {
      clear();
      reject(new DOMException("Stopped", "AbortError"));
    };
    const timer = setTimeout(goOn, ms);
    window.addEventListener("online", goOn);
    signal.addEventListener("abort", stop);
  });
}
