import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { mockApi } from "./mock/plugin.ts";

const API_ORIGIN = "http://127.0.0.1:8700";

export default defineConfig(({ mode }) => ({
  plugins: [react(), ...(mode === "mock" ? [mockApi()] : [])],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { proxy: mode === "mock" ? {} : { "/v1": { target: API_ORIGIN } } },
  build: {
    // The page is served under a policy that allows only its own origin: nothing may become a data: address.
    assetsInlineLimit: 0,
    target: "es2022",
    chunkSizeWarningLimit: 700,
  },
  test: {
    environment: "jsdom",
    globals: true,
    setupFiles: ["src/testing/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}"],
    css: false,
    pool: "threads",
    // by itself it leaves a core free for an editor
    maxWorkers: 2,
    testTimeout: 60_000,
  },
}));
