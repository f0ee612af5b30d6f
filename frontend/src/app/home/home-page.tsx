import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Model, Run } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Stitches } from "@/components/ui/stitches";
import { TimeAgo } from "@/components/ui/time-ago";
import { SampleList } from "@/features/datasets/components/sample-list";
import { modelName, modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import { statusOf, turnOf } from "@/features/training/components/wording";
import { isFinished, runsQuery } from "@/features/training/queries";
import { usageSummaryQuery } from "@/features/usage/queries";
import { duration, money } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "./home-page.module.css";

const RECENT = 4;

export function HomePage() {
  const can = useCan();
  const canBring = can("datasets:write");
  return (
    <Page
      title={canBring ? "Make a model of your own" : "Models of your own"}
      lead={
        canBring
          ? "Bring questions with the answers you wish for. A small model learns them, and you see whether it got better."
          : "What your workspace makes. Your role lets you look; an admin can let you do more, under Settings, Members."
      }
      actions={canBring && <ButtonLink to="/data/new">Bring your examples</ButtonLink>}
    >
      {can("runs:read") && <Running />}
      {can("models:read") && <RecentModels />}
      {can("usage:read") && <Spending />}
      {canBring && (
        <Section title="No examples at hand? Try it with ours">
          <SampleList />
        </Section>
      )}
    </Page>
  );
}

function Running() {
  const runs = useQuery(runsQuery);
  return (
    <QueryView query={runs} what="what is running" skeleton={<SkeletonLines count={2} height={36} />}>
      {(list) => {
        const active = list.data.filter((run) => !isFinished(run));
        if (active.length === 0) return null;
        return (
          <Section title="Running and waiting">
            <ul className={classes.list}>
              {active.map((run) => (
                <RunningRow key={run.id} run={run} />
              ))}
            </ul>
          </Section>
        );
      }}
    </QueryView>
  );
}

function RunningRow({ run }: { run: Run }) {
  const name = run.name ?? run.dataset_name ?? run.id;
  const left = run.progress?.seconds_left;
  const now = useNow();
  const isAtRest = run.status !== "running";
  const words =
    run.status === "queued"
      ? turnOf(run, now)
      : isAtRest
        ? statusOf(run).label
        : left
          ? `about ${duration(left)} left`
          : "Getting ready";
  return (
    <li className={classes.running}>
      <div className={classes.line}>
        <Link to="/train/$runId" params={{ runId: run.id }}>
          {name}
        </Link>
        <span>
          <Status tone={statusOf(run).tone}>{words}</Status>
        </span>
      </div>
      <Stitches fraction={run.progress?.fraction ?? (isAtRest ? 0 : null)} label={`Progress of ${name}`} />
    </li>
  );
}

function RecentModels() {
  const models = useQuery(modelsQuery);
  return (
    <QueryView query={models} what="your models" skeleton={<SkeletonLines count={3} height={36} />}>
      {(list) => {
        const recent = list
          .filter((model) => model.kind === "tuned")
          .sort((a, b) => b.created - a.created)
          .slice(0, RECENT);
        return recent.length > 0 ? <ModelRows models={recent} /> : null;
      }}
    </QueryView>
  );
}

function ModelRows({ models }: { models: Model[] }) {
  return (
    <Section title="Your latest models" actions={<Link to="/models">All models</Link>}>
      <ul className={classes.list}>
        {models.map((model) => (
          <li key={model.id} className={classes.line}>
            <Link to="/models/$modelId" params={{ modelId: model.id }}>
              {modelName(model)}
            </Link>
            <span className={classes.quiet}>
              <TimeAgo at={model.created} />
              <Link to="/playground" search={{ left: model.base_model, right: model.id }}>
                Try it
              </Link>
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Spending() {
  const usage = useQuery(usageSummaryQuery);
  return (
    <QueryView query={usage} what="the spending" skeleton={<SkeletonLines count={1} height={28} />}>
      {(summary) => (
        <p className={classes.spending}>
          <strong>{money(summary.total_usd)}</strong> spent this month. <Link to="/usage">See on what</Link>
        </p>
      )}
    </QueryView>
  );
}
