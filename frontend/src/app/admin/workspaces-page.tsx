import { Button } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { AdminWorkspace } from "@/api/types";
import { tell, tellFailure } from "@/components/ui/notices";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { AdminPage } from "@/features/admin/components/admin-page";
import { useRefresh } from "@/features/admin/refresh";
import { useCan, useSession, useSwitchWorkspace } from "@/features/session/queries";
import { NewWorkspace } from "@/features/workspaces/components/new-workspace";
import { StorageLimit } from "@/features/workspaces/components/storage-limit";
import { everyWorkspaceQuery, restoreWorkspace } from "@/features/workspaces/queries";
import { count } from "@/lib/format";

export function WorkspacesPage() {
  const [isMaking, setMaking] = useState(false);
  const canMake = useCan()("installation:admin");
  const enter = useEnter();
  return (
    <AdminPage
      title="Workspaces"
      lead="Each has its own data, models, people and keys. When you enter one that you are no member of, its log says so."
      actions={canMake && <Button onClick={() => setMaking(true)}>Make a workspace</Button>}
    >
      <Content />
      <NewWorkspace
        isOpen={isMaking}
        onClose={() => setMaking(false)}
        onMade={(id) => {
          setMaking(false);
          enter(id);
        }}
      />
    </AdminPage>
  );
}

function useEnter(): (id: string) => void {
  const change = useSwitchWorkspace();
  const navigate = useNavigate();
  return (id) => change.mutate(id, { onSuccess: () => void navigate({ to: "/" }), onError: tellFailure });
}

function Content() {
  const { options } = useRefresh();
  const workspaces = useQuery({ ...everyWorkspaceQuery, ...options });
  return (
    <QueryView query={workspaces} what="the workspaces" skeleton={<SkeletonLines count={4} height={36} />}>
      {(list) => <List workspaces={list} />}
    </QueryView>
  );
}

function List({ workspaces }: { workspaces: AdminWorkspace[] }) {
  const here = useSession().workspace.id;
  const columns: TableColumn<AdminWorkspace>[] = [
    {
      key: "name",
      title: "Name",
      sortBy: (workspace) => workspace.name,
      cell: (workspace) => workspace.name,
    },
    {
      key: "slug",
      title: "Short name",
      isSecondary: true,
      cell: (workspace) => <code>{workspace.slug}</code>,
    },
    {
      key: "people",
      title: "People",
      align: "end",
      isSecondary: true,
      sortBy: (workspace) => workspace.num_members,
      cell: (workspace) => count(workspace.num_members),
    },
    {
      key: "files",
      title: "Files",
      align: "end",
      sortBy: (workspace) => workspace.num_bytes,
      cell: (workspace) => <StorageLimit workspace={workspace} />,
    },
    {
      key: "created",
      title: "Made",
      isSecondary: true,
      sortBy: (workspace) => workspace.created_at,
      cell: (workspace) => <TimeAgo at={workspace.created_at} />,
    },
    {
      key: "action",
      title: "",
      align: "end",
      cell: (workspace) =>
        workspace.id === here ? (
          <Status tone="good">You are here</Status>
        ) : workspace.archived_at === null ? (
          <Enter workspace={workspace} />
        ) : (
          <Restore workspace={workspace} />
        ),
    },
  ];
  return (
    <Table label="Workspaces" columns={columns} items={workspaces} rowKey={(workspace) => workspace.id} />
  );
}

function Enter({ workspace }: { workspace: AdminWorkspace }) {
  const enter = useEnter();
  return (
    <Button
      size="compact-sm"
      variant="subtle"
      onClick={() => enter(workspace.id)}
      aria-label={`Enter ${workspace.name}`}
    >
      Enter
    </Button>
  );
}

function Restore({ workspace }: { workspace: AdminWorkspace }) {
  const client = useQueryClient();
  const restore = () =>
    restoreWorkspace(client, workspace.id)
      .then(() => tell(`“${workspace.name}” is open again.`))
      .catch(tellFailure);
  return (
    <Button
      size="compact-sm"
      variant="subtle"
      onClick={() => void restore()}
      aria-label={`Open ${workspace.name} again`}
    >
      Open again
    </Button>
  );
}
