import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import type { RouterHistory } from "@tanstack/react-router";
import { ApiError } from "@/api/errors";
import { createAppRouter } from "@/app/router";
import { tell } from "@/components/ui/notices";
import { leaveWorkspace, sessionQuery } from "@/features/session/queries";

const RETRIES = 2;
// who is not signed in has business here too
const OPEN_TO_ALL = ["/sign-in", "/join"];

/** One router and one cache that know of each other: a lost session leads to the sign-in page and back. */
export function createApp(history?: RouterHistory) {
  let isLeaving = false;
  let isMoving = false;
  const onError = (error: unknown) => {
    if (error instanceof ApiError && error.isOutOfWorkspace) moveOn();
    if (!(error instanceof ApiError) || !error.isSignedOut || isLeaving) return;
    const { pathname, href } = router.state.location;
    if (OPEN_TO_ALL.includes(pathname)) return;
    isLeaving = true;
    void router.navigate({ to: "/sign-in", search: { to: href } }).finally(() => {
      isLeaving = false;
      queryClient.removeQueries({ queryKey: sessionQuery.queryKey });
    });
  };
  const moveOn = () => {
    if (isMoving) return;
    isMoving = true;
    tell("That workspace is closed to you now. Here is another one of yours.");
    void router.navigate({ to: "/" });
    void leaveWorkspace(queryClient).finally(() => {
      isMoving = false;
    });
  };
  const queryClient: QueryClient = new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        retry: (failures, error) =>
          failures < RETRIES && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
        retryDelay: (attempt) => 400 * 2 ** attempt,
      },
    },
  });
  const router = createAppRouter(queryClient, history);
  return { router, queryClient };
}
