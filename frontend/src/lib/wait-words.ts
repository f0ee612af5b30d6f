/** What work waits for that was asked for and has not begun. */
export function waitWords({ waits_for: wait }: { waits_for: { message: string } | null }): string {
  return wait?.message ?? "It waits for its turn.";
}
