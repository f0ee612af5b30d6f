import { Tabs } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { Page } from "@/components/ui/page";
import { useCan } from "@/features/session/queries";
import { KeysPanel } from "@/features/settings/components/keys-panel";
import { MembersPanel } from "@/features/settings/components/members-panel";
import { ProfilePanel } from "@/features/settings/components/profile-panel";

const route = getRouteApi("/app/settings");
const PARTS = ["profile", "keys", "members"];

export function SettingsPage() {
  const { part } = route.useSearch();
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
          <Tabs.Tab value="keys">API keys</Tabs.Tab>
          {can("members:read") && <Tabs.Tab value="members">Members</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="profile">
          <ProfilePanel />
        </Tabs.Panel>
        <Tabs.Panel value="keys">
          <KeysPanel />
        </Tabs.Panel>
        <Tabs.Panel value="members">
          <MembersPanel />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
