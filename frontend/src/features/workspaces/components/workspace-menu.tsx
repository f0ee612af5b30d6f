import { Menu } from "@mantine/core";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Icon } from "@/components/ui/icons";
import { tellFailure } from "@/components/ui/notices";
import { useCan, useSession, useSwitchWorkspace } from "@/features/session/queries";
import { NewWorkspace } from "@/features/workspaces/components/new-workspace";
import classes from "./workspace-menu.module.css";

/** Where one is, and the way to elsewhere. With nowhere to go it is a name only. */
export function WorkspaceMenu() {
  const session = useSession();
  const isOperator = useCan()("installation:admin");
  const navigate = useNavigate();
  const change = useSwitchWorkspace();
  const [isMaking, setMaking] = useState(false);
  const { workspace, workspaces, may_create_workspaces: mayCreate } = session;
  const enter = (id: string) => {
    if (id === workspace.id) return;
    change.mutate(id, { onSuccess: () => void navigate({ to: "/" }), onError: tellFailure });
  };
  const others = workspaces.filter((known) => known.id !== workspace.id);
  if (others.length === 0 && !mayCreate && !isOperator) {
    return <span className={classes.name}>{workspace.name}</span>;
  }
  return (
    <>
      <Menu position="top-start" width={240}>
        <Menu.Target>
          <button type="button" className={classes.button} aria-label={`Workspace: ${workspace.name}`}>
            <span className={classes.current}>{workspace.name}</span>
            <Icon name="down" />
          </button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>Workspaces</Menu.Label>
          {workspaces.map((known) => (
            <Menu.Item
              key={known.id}
              onClick={() => enter(known.id)}
              aria-current={known.id === workspace.id}
              rightSection={known.id === workspace.id && <Icon name="check" />}
            >
              {known.name}
            </Menu.Item>
          ))}
          {(mayCreate || isOperator) && <Menu.Divider />}
          {mayCreate && <Menu.Item onClick={() => setMaking(true)}>Make a workspace</Menu.Item>}
          {isOperator && (
            <Menu.Item component={Link} to="/admin/workspaces">
              All workspaces
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      <NewWorkspace
        isOpen={isMaking}
        onClose={() => setMaking(false)}
        onMade={(id) => {
          setMaking(false);
          enter(id);
        }}
      />
    </>
  );
}
