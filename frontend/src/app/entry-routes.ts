import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "@/app/root-route";
import { pick, type Search } from "@/app/search";

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (search: Search) => pick(search, "to", "problem"),
  component: lazyRouteComponent(() => import("@/features/session/pages/sign-in-page"), "SignInPage"),
});

const forgotPassword = createRoute({
  getParentRoute: () => root,
  path: "/forgot-password",
  component: lazyRouteComponent(
    () => import("@/features/session/pages/forgot-password-page"),
    "ForgotPasswordPage",
  ),
});

const resetPassword = createRoute({
  getParentRoute: () => root,
  path: "/reset-password",
  component: lazyRouteComponent(
    () => import("@/features/session/pages/reset-password-page"),
    "ResetPasswordPage",
  ),
});

const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(() => import("@/features/session/pages/setup-page"), "SetupPage"),
});

const join = createRoute({
  getParentRoute: () => root,
  path: "/join",
  validateSearch: (search: Search) => pick(search, "token"),
  component: lazyRouteComponent(() => import("@/features/workspaces/pages/join-page"), "JoinPage"),
});

/** What one sees before one is signed in. */
export const ENTRY_ROUTES = [signIn, forgotPassword, resetPassword, setup, join] as const;
