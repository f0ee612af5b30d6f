import { Button } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { useDeleteKeptAnswers, useMakeExamplesOfKept } from "@/features/playground/queries";
import { plural } from "@/lib/format";
import { newKey } from "@/lib/new-key";
import classes from "./picked-actions.module.css";

interface PickedActionsProps {
  ids: string[];
  onDone: () => void;
}

/** What can be done with those that were picked. */
export function PickedActions({ ids, onDone }: PickedActionsProps) {
  const make = useMakeExamplesOfKept();
  const remove = useDeleteKeptAnswers();
  const navigate = useNavigate();
  const [isAsking, setAsking] = useState(false);
  const [key, setKey] = useState(newKey);
  const makeThem = () =>
    make.mutate(
      { key, ids },
      {
        onError: tellFailure,
        onSuccess: (made) => {
          onDone();
          void navigate({ to: "/data/$datasetId", params: { datasetId: made.id } });
        },
        // what is refused is another try, with others picked
        onSettled: () => setKey(newKey()),
      },
    );
  const removeThem = () =>
    remove.mutate(ids, {
      onError: tellFailure,
      onSuccess: () => {
        onDone();
        tell(ids.length === 1 ? "The answer was deleted." : `${ids.length} answers were deleted.`);
      },
      onSettled: () => setAsking(false),
    });
  return (
    <div className={classes.actions} role="group" aria-label="With those picked">
      <span>{plural(ids.length, "answer")} picked</span>
      <Button size="compact-sm" onClick={makeThem} loading={make.isPending}>
        Make examples of them
      </Button>
      <Button size="compact-sm" variant="default" onClick={() => setAsking(true)}>
        Delete them
      </Button>
      <Button size="compact-sm" variant="subtle" onClick={onDone}>
        Pick none
      </Button>
      <Confirm
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title={`Delete ${plural(ids.length, "answer")}?`}
        action="Delete them for good"
        keep="Keep them"
        onConfirm={removeThem}
        isBusy={remove.isPending}
      >
        The questions go with them, and nothing can be brought back. Examples that were made of them stay.
      </Confirm>
    </div>
  );
}
