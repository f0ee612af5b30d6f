import { createRoute, redirect } from "@tanstack/react-router";
import { ApiError } from "@/api/errors";
import { AppLayout } from "@/app/app-layout";
import { root } from "@/app/root-route";
import { RouteFailure } from "@/app/route-failure";
import { sessionQuery } from "@/features/session/queries";

/** What only those see who are signed in. */
export const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  beforeLoad: async ({ context, location }) => {
    try {
      await context.queryClient.query({ ...sessionQuery, staleTime: "static" });
    } catch (error) {
      if (error instanceof ApiError && error.isSignedOut) {
        throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { to: location.href } });
      }
      throw error;
    }
  },
  component: AppLayout,
  errorComponent: RouteFailure,
});
