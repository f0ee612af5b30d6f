import { Button } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { useSession, useSwitchWorkspace } from "@/features/session/queries";
import classes from "./visit-notice.module.css";

/** For whoever runs the installation, in a workspace where they are no member. */
export function VisitNotice() {
  const { workspace, workspaces } = useSession();
  const change = useSwitchWorkspace();
  const navigate = useNavigate();
  const [home] = workspaces;
  const goHome = (id: string) =>
    change.mutate(id, { onSuccess: () => void navigate({ to: "/" }), onError: tellFailure });
  return (
    <div className={classes.visit}>
      <Notice
        tone="warn"
        title={`You are looking into ${workspace.name}`}
        action={
          home && (
            <Button
              size="compact-sm"
              variant="default"
              loading={change.isPending}
              onClick={() => goHome(home.id)}
            >
              Back to {home.name}
            </Button>
          )
        }
      >
        You run this installation and are not a member here. That you came in stands in the workspace’s log,
        and so does what you change.
      </Notice>
    </div>
  );
}
