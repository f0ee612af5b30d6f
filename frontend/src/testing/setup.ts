import "@testing-library/jest-dom/vitest";
import { notifications } from "@mantine/notifications";
import { cleanup, configure } from "@testing-library/react";
import { setupServer } from "msw/node";
import { FakeEventSource } from "@/testing/fake-event-source";
import { handlers } from "@/testing/handlers";

export const server = setupServer(...handlers);

// A machine that does other things may stand still for seconds; the default of one second is for idle ones.
configure({ asyncUtilTimeout: 20_000 });

class FakeObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
}

// jsdom draws nothing; the chart's own library is trusted to draw.
vi.mock("uplot", () => ({
  default: class {
    series = [];
    destroy() {}
    setData() {}
    setSize() {}
  },
}));

window.matchMedia = (query: string) =>
  ({
    matches: false,
    media: query,
    addEventListener() {},
    removeEventListener() {},
    addListener() {},
    removeListener() {},
  }) as unknown as MediaQueryList;
window.ResizeObserver = FakeObserver;
window.scrollTo = () => undefined;
Object.defineProperty(Blob.prototype, "arrayBuffer", {
  value(this: Blob) {
    return new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => {
        // digests are Node's own, and take no buffer of another realm
        const copy = Buffer.alloc(this.size);
        copy.set(new Uint8Array(reader.result as ArrayBuffer));
        resolve(copy.buffer);
      };
      reader.readAsArrayBuffer(this);
    });
  },
});
Element.prototype.scrollIntoView = () => undefined;
vi.stubGlobal("EventSource", FakeEventSource);

beforeAll(() => server.listen({ onUnhandledRequest: "error" }));
afterEach(() => {
  cleanup();
  notifications.clean();
  server.resetHandlers();
  window.localStorage.clear();
  window.sessionStorage.clear();
  FakeEventSource.opened = [];
});
afterAll(() => server.close());
