import { Button } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError, messageOf } from "@/api/errors";
import { Sprig } from "@/components/ui/sprig";
import classes from "./states.module.css";

interface EmptyProps {
  title: string;
  children: ReactNode;
  action?: ReactNode;
}

export function Empty({ title, children, action }: EmptyProps) {
  return (
    <div className={classes.state}>
      <Sprig />
      <h2>{title}</h2>
      <p>{children}</p>
      {action}
    </div>
  );
}

interface FailureProps {
  error: unknown;
  /** What could not be shown, in the reader's words: "your examples". */
  what: string;
  onRetry?: () => void;
}

/** What happened, to what, and what to do now. */
export function Failure({ error, what, onRetry }: FailureProps) {
  if (error instanceof ApiError && error.isForbidden) return <Forbidden what={what} />;
  if (error instanceof ApiError && error.isNotFound) {
    return (
      <div className={classes.state}>
        <Sprig variant="bare" />
        <h2>There is nothing here any more</h2>
        <p>It was deleted, or the address has a typing error. Nothing else was changed.</p>
      </div>
    );
  }
  return (
    <div className={classes.state} role="alert">
      <Sprig variant="cut" />
      <h2>We could not show {what}</h2>
      <p>{messageOf(error)}</p>
      {onRetry && (
        <Button variant="default" onClick={onRetry}>
          Try again
        </Button>
      )}
      {error instanceof ApiError && error.requestId && (
        <small>Reference for support: {error.requestId}</small>
      )}
    </div>
  );
}

const ASK_YOUR_ADMIN =
  "Your role in this workspace does not include it. An admin can change that under Settings, Members.";

/** Who can let one in: by default an admin of the workspace. */
export function Forbidden({ what, children = ASK_YOUR_ADMIN }: { what: string; children?: ReactNode }) {
  return (
    <div className={classes.state}>
      <Sprig variant="bare" />
      <h2>You cannot see {what}</h2>
      <p>{children}</p>
    </div>
  );
}

interface QueryViewProps<T> {
  query: UseQueryResult<T>;
  what: string;
  skeleton: ReactNode;
  children: (data: T) => ReactNode;
}

/** Draws whichever state a query is in. Data that is already here stays while a later refresh fails. */
export function QueryView<T>({ query, what, skeleton, children }: QueryViewProps<T>) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Failure error={query.error} what={what} onRetry={() => void query.refetch()} />;
  return (
    <div role="status" aria-label={`Loading ${what}`}>
      {skeleton}
    </div>
  );
}
