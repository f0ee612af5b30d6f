import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Page } from "@/components/ui/page";
import { Forbidden } from "@/components/ui/states";
import { useRefresh } from "@/features/admin/refresh";
import { useCan } from "@/features/session/queries";
import classes from "./admin-page.module.css";

const PARTS = [
  { to: "/admin", label: "Overview" },
  { to: "/admin/workers", label: "Workers" },
  { to: "/admin/jobs", label: "Jobs" },
  { to: "/admin/join", label: "Join a machine" },
  { to: "/admin/workspaces", label: "Workspaces" },
  { to: "/admin/audit", label: "Audit log" },
] as const;

interface AdminPageProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  /** Whether it is asked for anew every few seconds. */
  isLive?: boolean;
  children: ReactNode;
}

/** The frame of every admin page. Its content is asked for only by those who may see it. */
export function AdminPage({ title, lead, actions, isLive = true, children }: AdminPageProps) {
  const isAllowed = useCan()("installation:admin");
  if (!isAllowed) {
    return (
      <Page title="Admin">
        <Forbidden what="the machines and jobs of everyone">
          This part is for the people who run this installation. Whoever set it up can let you in.
        </Forbidden>
      </Page>
    );
  }
  return (
    <Page title={title} lead={lead} actions={actions} above="Admin">
      <div className={classes.bar}>
        <nav className={classes.parts} aria-label="Admin">
          {PARTS.map((part) => (
            <Link
              key={part.to}
              to={part.to}
              activeOptions={{ exact: part.to === "/admin", includeSearch: false }}
            >
              {part.label}
            </Link>
          ))}
        </nav>
        {isLive && <RefreshSwitch />}
      </div>
      {children}
    </Page>
  );
}

function RefreshSwitch() {
  const { isPaused, setPaused } = useRefresh();
  return (
    <span className={classes.refresh} data-paused={isPaused || undefined}>
      <span className={classes.state}>{isPaused ? "Held still" : "Updates by itself"}</span>
      <Button size="compact-xs" variant="subtle" onClick={() => setPaused(!isPaused)}>
        {isPaused ? "Go on" : "Hold still"}
      </Button>
    </span>
  );
}
