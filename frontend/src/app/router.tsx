import type { QueryClient } from "@tanstack/react-query";
import { createRoute, createRouter, lazyRouteComponent, type RouterHistory } from "@tanstack/react-router";
import { app } from "@/app/app-route";
import { ENTRY_ROUTES } from "@/app/entry-routes";
import { newDataSearch } from "@/app/new-data-search";
import { root } from "@/app/root-route";
import { RouteFailure } from "@/app/route-failure";
import { rowsSearch } from "@/app/rows-search";
import {
  AUDIT_SEARCH,
  DELIVERY_STATES,
  JOB_STATES,
  oneOf,
  pick,
  QUEUES,
  TRAFFIC_DAYS,
  type Search,
} from "@/app/search";

const home = createRoute({
  getParentRoute: () => app,
  path: "/",
  component: lazyRouteComponent(() => import("@/app/home/home-page"), "HomePage"),
});

const data = createRoute({
  getParentRoute: () => app,
  path: "/data",
  component: lazyRouteComponent(() => import("@/features/datasets/pages/datasets-page"), "DatasetsPage"),
});

const newData = createRoute({
  getParentRoute: () => app,
  path: "/data/new",
  validateSearch: newDataSearch,
  component: lazyRouteComponent(() => import("@/features/datasets/pages/new-dataset-page"), "NewDatasetPage"),
});

const erase = createRoute({
  getParentRoute: () => app,
  path: "/data/erase",
  validateSearch: (search: Search) => pick(search, "id"),
  component: lazyRouteComponent(() => import("@/features/datasets/pages/erase-page"), "ErasePage"),
});

const dataset = createRoute({
  getParentRoute: () => app,
  path: "/data/$datasetId",
  component: lazyRouteComponent(() => import("@/features/datasets/pages/dataset-page"), "DatasetPage"),
});

const rows = createRoute({
  getParentRoute: () => app,
  path: "/data/$datasetId/rows",
  validateSearch: rowsSearch,
  component: lazyRouteComponent(() => import("@/features/datasets/pages/rows-page"), "RowsPage"),
});

const runs = createRoute({
  getParentRoute: () => app,
  path: "/train",
  validateSearch: (search: Search) => pick(search, "state"),
  component: lazyRouteComponent(() => import("@/features/training/pages/runs-page"), "RunsPage"),
});

const newRun = createRoute({
  getParentRoute: () => app,
  path: "/train/new",
  validateSearch: (search: Search) => pick(search, "dataset", "from"),
  component: lazyRouteComponent(() => import("@/features/training/pages/new-run-page"), "NewRunPage"),
});

const run = createRoute({
  getParentRoute: () => app,
  path: "/train/$runId",
  component: lazyRouteComponent(() => import("@/features/training/pages/run-page"), "RunPage"),
});

const models = createRoute({
  getParentRoute: () => app,
  path: "/models",
  component: lazyRouteComponent(() => import("@/features/models/pages/models-page"), "ModelsPage"),
});

const bringModel = createRoute({
  getParentRoute: () => app,
  path: "/models/bring",
  validateSearch: (search: Search) => pick(search, "id"),
  component: lazyRouteComponent(() => import("@/features/models/pages/bring-model-page"), "BringModelPage"),
});

const model = createRoute({
  getParentRoute: () => app,
  path: "/models/$modelId",
  validateSearch: (search: Search) => oneOf(search, "days", TRAFFIC_DAYS),
  component: lazyRouteComponent(() => import("@/features/models/pages/model-page"), "ModelPage"),
});

const aliases = createRoute({
  getParentRoute: () => app,
  path: "/aliases",
  component: lazyRouteComponent(() => import("@/features/aliases/pages/aliases-page"), "AliasesPage"),
});

const alias = createRoute({
  getParentRoute: () => app,
  path: "/aliases/$aliasName",
  validateSearch: (search: Search) => oneOf(search, "days", TRAFFIC_DAYS),
  component: lazyRouteComponent(() => import("@/features/aliases/pages/alias-page"), "AliasPage"),
});

const playground = createRoute({
  getParentRoute: () => app,
  path: "/playground",
  validateSearch: (search: Search) => pick(search, "left", "right", "third", "fourth"),
  component: lazyRouteComponent(
    () => import("@/features/playground/pages/playground-page"),
    "PlaygroundPage",
  ),
});

const votes = createRoute({
  getParentRoute: () => app,
  path: "/playground/votes",
  validateSearch: (search: Search) => pick(search, "after"),
  component: lazyRouteComponent(() => import("@/features/playground/pages/votes-page"), "VotesPage"),
});

const keptAnswers = createRoute({
  getParentRoute: () => app,
  path: "/playground/kept",
  validateSearch: (search: Search) => ({
    ...pick(search, "model", "q", "from", "to", "after"),
    ...oneOf(search, "origin", ["stored", "logged"] as const),
    ...oneOf(search, "outcome", ["failed", "cancelled", "any"] as const),
  }),
  component: lazyRouteComponent(
    () => import("@/features/playground/pages/kept-answers-page"),
    "KeptAnswersPage",
  ),
});

const keptAnswer = createRoute({
  getParentRoute: () => app,
  path: "/playground/kept/$answerId",
  component: lazyRouteComponent(
    () => import("@/features/playground/pages/kept-answer-page"),
    "KeptAnswerPage",
  ),
});

const usage = createRoute({
  getParentRoute: () => app,
  path: "/usage",
  component: lazyRouteComponent(() => import("@/features/usage/pages/usage-page"), "UsagePage"),
});

const settings = createRoute({
  getParentRoute: () => app,
  path: "/settings",
  validateSearch: (search: Search) => pick(search, "part", "problem", ...AUDIT_SEARCH),
  component: lazyRouteComponent(() => import("@/app/settings/settings-page"), "SettingsPage"),
});

const webhook = createRoute({
  getParentRoute: () => app,
  path: "/settings/webhooks/$webhookId",
  validateSearch: (search: Search) => ({
    ...pick(search, "after"),
    ...oneOf(search, "status", DELIVERY_STATES),
  }),
  component: lazyRouteComponent(() => import("@/features/webhooks/pages/webhook-page"), "WebhookPage"),
});

const adminOverview = createRoute({
  getParentRoute: () => app,
  path: "/admin",
  component: lazyRouteComponent(() => import("@/features/admin/pages/overview-page"), "OverviewPage"),
});

const adminWorkers = createRoute({
  getParentRoute: () => app,
  path: "/admin/workers",
  component: lazyRouteComponent(() => import("@/features/admin/pages/workers-page"), "WorkersPage"),
});

const adminJobs = createRoute({
  getParentRoute: () => app,
  path: "/admin/jobs",
  validateSearch: (search: Search) => ({
    ...pick(search, "workspace", "after"),
    ...oneOf(search, "state", JOB_STATES),
    ...oneOf(search, "queue", QUEUES),
  }),
  component: lazyRouteComponent(() => import("@/features/admin/pages/jobs-page"), "JobsPage"),
});

const adminJob = createRoute({
  getParentRoute: () => app,
  path: "/admin/jobs/$jobId",
  component: lazyRouteComponent(() => import("@/features/admin/pages/job-page"), "JobPage"),
});

const adminJoin = createRoute({
  getParentRoute: () => app,
  path: "/admin/join",
  component: lazyRouteComponent(() => import("@/features/admin/pages/join-page"), "JoinPage"),
});

const adminWorkspaces = createRoute({
  getParentRoute: () => app,
  path: "/admin/workspaces",
  component: lazyRouteComponent(() => import("@/app/admin/workspaces-page"), "WorkspacesPage"),
});

const adminAudit = createRoute({
  getParentRoute: () => app,
  path: "/admin/audit",
  validateSearch: (search: Search) => pick(search, "workspace", ...AUDIT_SEARCH),
  component: lazyRouteComponent(() => import("@/app/admin/audit-page"), "AuditPage"),
});

const pages = [
  home,
  data,
  newData,
  erase,
  dataset,
  rows,
  runs,
  newRun,
  run,
  models,
  bringModel,
  model,
  aliases,
  alias,
  playground,
  votes,
  keptAnswers,
  keptAnswer,
  usage,
  settings,
  webhook,
  adminOverview,
  adminWorkers,
  adminJobs,
  adminJob,
  adminJoin,
  adminWorkspaces,
  adminAudit,
] as const;
const routeTree = root.addChildren([...ENTRY_ROUTES, app.addChildren(pages)]);

export function createAppRouter(queryClient: QueryClient, history?: RouterHistory) {
  return createRouter({
    routeTree,
    context: { queryClient },
    defaultPreload: "intent",
    defaultErrorComponent: RouteFailure,
    scrollRestoration: true,
    ...(history ? { history } : {}),
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
