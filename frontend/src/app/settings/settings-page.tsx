import { Tabs } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { Page } from "@/components/ui/page";
import { Forbidden } from "@/components/ui/states";
import { AuditLog } from "@/features/audit/components/audit-log";
import { RequestLogSection } from "@/features/playground/components/request-log-section";
import { useCan } from "@/features/session/queries";
import { KeysPanel } from "@/features/settings/components/keys-panel";
import { MembersPanel } from "@/features/settings/components/members-panel";
import { ProfilePanel } from "@/features/settings/components/profile-panel";
import { SessionsPanel } from "@/features/settings/components/sessions-panel";
import { WebhooksPanel } from "@/features/webhooks/components/webhooks-panel";
import { WorkspacePanel } from "@/features/workspaces/components/workspace-panel";
import { filled } from "@/lib/filled";

const route = getRouteApi("/app/settings");
const PARTS = ["profile", "sessions", "keys", "members", "webhooks", "workspace", "audit"];

export function SettingsPage() {
  const { part, problem, ...search } = route.useSearch();
  const navigate = route.useNavigate();
  const can = useCan();
  const shown = part && PARTS.includes(part) ? part : "profile";
  return (
    <Page title="Settings">
      <Tabs
        value={shown}
        onChange={(next) => void navigate({ search: next && next !== "profile" ? { part: next } : {} })}
        keepMounted={false}
      >
        <Tabs.List mb="lg">
          <Tabs.Tab value="profile">Profile</Tabs.Tab>
          <Tabs.Tab value="sessions">Sessions</Tabs.Tab>
          <Tabs.Tab value="keys">API keys</Tabs.Tab>
          {can("members:read") && <Tabs.Tab value="members">Members</Tabs.Tab>}
          {can("webhooks:manage") && <Tabs.Tab value="webhooks">Webhooks</Tabs.Tab>}
          <Tabs.Tab value="workspace">Workspace</Tabs.Tab>
          {can("audit:read") && <Tabs.Tab value="audit">Audit log</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="profile">
          <ProfilePanel problem={problem} />
        </Tabs.Panel>
        <Tabs.Panel value="sessions">
          <SessionsPanel />
        </Tabs.Panel>
        <Tabs.Panel value="keys">
          <KeysPanel />
        </Tabs.Panel>
        <Tabs.Panel value="members">
          <MembersPanel />
        </Tabs.Panel>
        <Tabs.Panel value="webhooks">
          {can("webhooks:manage") ? <WebhooksPanel /> : <Forbidden what="the webhooks" />}
        </Tabs.Panel>
        <Tabs.Panel value="workspace">
          <WorkspacePanel>
            <RequestLogSection />
          </WorkspacePanel>
        </Tabs.Panel>
        <Tabs.Panel value="audit">
          {can("audit:read") ? (
            <AuditLog
              scope="workspace"
              search={search}
              onSearch={(next) => void navigate({ search: { part: "audit", ...filled(next) } })}
            />
          ) : (
            <Forbidden what="the audit log" />
          )}
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
