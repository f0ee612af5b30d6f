import { getRouteApi } from "@tanstack/react-router";
import { AdminPage } from "@/features/admin/components/admin-page";
import { AuditLog } from "@/features/audit/components/audit-log";
import { filled } from "@/lib/filled";

const route = getRouteApi("/app/admin/audit");

/** The logs of every workspace and of the installation, in the frame of the admin pages. */
export function AuditPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <AdminPage title="Audit log" isLive={false}>
      <AuditLog
        scope="installation"
        search={search}
        onSearch={(next) => void navigate({ search: filled(next) })}
      />
    </AdminPage>
  );
}
