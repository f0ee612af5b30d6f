import { Outlet } from "@tanstack/react-router";
import type { Permission } from "@/api/types";
import { Shell, type NavItem } from "@/components/layout/shell";
import { VisitNotice } from "@/features/workspaces/components/visit-notice";
import { WorkspaceMenu } from "@/features/workspaces/components/workspace-menu";
import { useCan, useSession, useSignOut } from "@/features/session/queries";

const ITEMS: (NavItem & { needs?: Permission })[] = [
  { to: "/", label: "Home", icon: "home" },
  { to: "/data", label: "Data", icon: "data", needs: "datasets:read" },
  { to: "/train", label: "Train", icon: "train", needs: "runs:read" },
  { to: "/models", label: "Models", icon: "models", needs: "models:read" },
  { to: "/playground", label: "Playground", icon: "playground", needs: "chat:use" },
  { to: "/usage", label: "Usage", icon: "usage", needs: "usage:read", isSecondary: true },
  { to: "/admin", label: "Admin", icon: "admin", needs: "installation:admin", isSecondary: true },
  { to: "/settings", label: "Settings", icon: "settings", isSecondary: true },
];

export function AppLayout() {
  const session = useSession();
  const can = useCan();
  const signOut = useSignOut();
  const leave = () => {
    // A full load, so that nothing of this person stays in memory.
    signOut.mutate(undefined, { onSettled: () => window.location.assign("/sign-in") });
  };
  return (
    <Shell
      items={ITEMS.filter((item) => !item.needs || can(item.needs))}
      // drawn anew in another workspace: nothing that was shown of one stays in the other
      key={session.workspace.id}
      workspace={<WorkspaceMenu />}
      notice={session.is_visiting && <VisitNotice />}
      person={session.user.name || session.user.email}
      onSignOut={leave}
    >
      <Outlet />
    </Shell>
  );
}
