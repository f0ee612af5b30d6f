import { Button } from "@mantine/core";
import { useState } from "react";
import { ApiError, messageOf } from "@/api/errors";
import type { Finding } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { draftWords } from "@/features/datasets/rows/draft-words";
import type { Draft } from "@/features/datasets/rows/row-queries";
import { sentenceOf } from "@/features/datasets/components/version-words";
import classes from "./draft-bar.module.css";

interface DraftBarProps {
  draft: Draft;
  findings: Finding[];
  canChange: boolean;
  onSaved: () => void;
}

/** What is not saved yet, and what can be done with it. It is kept by the server, for everybody who looks. */
export function DraftBar({ draft, findings, canChange, onSaved }: DraftBarProps) {
  const [isAsking, setAsking] = useState(false);
  const found = draft.draft.data;
  const changes = found?.changes ?? [];
  const isBusy = draft.undo.isPending || draft.discard.isPending || draft.save.isPending;
  if (!found || changes.length === 0) return null;
  const words = draftWords(
    changes.map((one) => one.change),
    findings,
  );
  const last = changes.at(-1);
  const discard = () =>
    draft.discard.mutate(undefined, { onSuccess: () => setAsking(false), onError: tellFailure });
  const refusal = draft.save.error;
  return (
    <>
      {refusal && !found.is_stale && (
        <Notice tone="bad" title="Your changes are not saved">
          {messageOf(refusal)}
        </Notice>
      )}
      <div
        className={classes.bar}
        role="region"
        aria-label="Changes that are not saved"
        data-stale={found.is_stale || undefined}
      >
        <p>
          {found.is_stale ? (
            <>
              <strong>Somebody made another version meanwhile.</strong> {words} of an older version can only
              be discarded; then make them again.
            </>
          ) : (
            <>
              <strong>Not saved yet:</strong> {words}
            </>
          )}
          {last && (
            <small>
              Last: {sentenceOf(last.change)}
              {last.created_by_name ? `, by ${last.created_by_name}` : ""}
            </small>
          )}
        </p>
        {canChange && (
          <div className={classes.actions}>
            {!found.is_stale && (
              <Button
                variant="default"
                disabled={isBusy}
                onClick={() => draft.undo.mutate(undefined, { onError: tellFailure })}
              >
                Undo
              </Button>
            )}
            <Button variant="subtle" disabled={isBusy} onClick={() => setAsking(true)}>
              Discard
            </Button>
            {!found.is_stale && (
              <Button
                loading={draft.save.isPending}
                disabled={isBusy}
                onClick={() =>
                  draft.save.mutate(undefined, { onSuccess: onSaved, onError: () => void draft.refresh() })
                }
              >
                Save as new version
              </Button>
            )}
          </div>
        )}
      </div>
      <Confirm
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title="Discard what is not saved?"
        action="Discard"
        onConfirm={discard}
        isBusy={draft.discard.isPending}
      >
        <p>{words}. The examples are again as the last version has them. This cannot be undone.</p>
      </Confirm>
    </>
  );
}

/** Whether somebody was quicker: what is shown is not what is there any more. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}
