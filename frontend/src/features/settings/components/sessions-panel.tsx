import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { BrowserSession } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import {
  browserSessionsQuery,
  useRevokeOtherSessions,
  useRevokeSession,
} from "@/features/settings/account-queries";
import classes from "./panel.module.css";

/** Where one is signed in, and signing out there from here. */
export function SessionsPanel() {
  const sessions = useQuery(browserSessionsQuery);
  const revoke = useRevokeSession();
  const columns: TableColumn<BrowserSession>[] = [
    {
      key: "device",
      title: "Where",
      cell: (item) => (
        <span className={classes.device}>
          {item.device}
          {item.is_current && <Status tone="good">This browser</Status>}
        </span>
      ),
    },
    {
      key: "address",
      title: "Seen from",
      isSecondary: true,
      cell: (item) => item.client_address ?? "—",
    },
    {
      key: "opened",
      title: "Signed in",
      isSecondary: true,
      cell: (item) => <TimeAgo at={item.created_at} />,
    },
    { key: "seen", title: "Last used", cell: (item) => <TimeAgo at={item.last_seen_at} /> },
    {
      key: "revoke",
      title: "",
      align: "end",
      cell: (item) =>
        !item.is_current && (
          <Button
            size="compact-sm"
            variant="subtle"
            aria-label={`Sign out ${item.device}`}
            loading={revoke.isPending && revoke.variables === item.id}
            onClick={() =>
              revoke.mutate(item.id, {
                onSuccess: () => tell(`${item.device} is signed out.`),
                onError: tellFailure,
              })
            }
          >
            Sign out
          </Button>
        ),
    },
  ];
  return (
    <div className={classes.panel}>
      <QueryView
        query={sessions}
        what="where you are signed in"
        skeleton={<SkeletonLines count={3} height={36} />}
      >
        {({ data }) => (
          <Section
            title="Where you are signed in"
            lead="Is one of them not you? Sign it out, then change your password under Profile."
            actions={data.some((item) => !item.is_current) && <SignOutElsewhere />}
          >
            <Table label="Sessions" columns={columns} items={data} rowKey={(item) => item.id} />
          </Section>
        )}
      </QueryView>
    </div>
  );
}

function SignOutElsewhere() {
  const revoke = useRevokeOtherSessions();
  const [isAsking, setAsking] = useState(false);
  return (
    <>
      <Button variant="default" onClick={() => setAsking(true)}>
        Sign out everywhere else
      </Button>
      <Confirm
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title="Sign out everywhere else?"
        action="Sign out"
        keep="Stay signed in"
        isBusy={revoke.isPending}
        onConfirm={() =>
          revoke.mutate(undefined, {
            onSuccess: () => tell("You are signed in here alone."),
            onError: tellFailure,
            onSettled: () => setAsking(false),
          })
        }
      >
        <p>Every other browser has to sign in again. This one stays.</p>
      </Confirm>
    </>
  );
}
