import { createMemoryHistory } from "@tanstack/react-router";
import { render, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { App } from "@/app/app";

/** The whole app at an address, with a person at the keyboard. */
export function openPage(address: string) {
  const history = createMemoryHistory({ initialEntries: [address] });
  const user = userEvent.setup();
  render(<App history={history} env="test" />);
  return { user, history };
}

/** Waits until nothing on the page is loading any more. */
export async function settled() {
  await waitFor(() => {
    expect(document.querySelector("h1")).not.toBeNull();
    expect(document.querySelector('[role="status"][aria-label^="Loading"]')).toBeNull();
  });
}

export async function accessibilityProblems(): Promise<string[]> {
  const result = await axe.run(document.body, {
    // Colours are computed by a real browser only.
    rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
  });
  return result.violations.map((found) => `${found.id}: ${found.nodes.map((node) => node.html).join(" | ")}`);
}
