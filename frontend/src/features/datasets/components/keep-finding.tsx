import { Button, Group, Modal, Textarea } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Finding } from "@/api/types";
import { tellFailure } from "@/components/ui/notices";
import { TimeAgo } from "@/components/ui/time-ago";
import { useKeepFinding, useStopKeeping } from "@/features/datasets/version-queries";
import classes from "./health-report.module.css";

const MAX_GROUND_CHARS = 1000;

interface KeepFindingProps {
  versionId: string;
  finding: Finding;
}

/** Decides that what was found may stay, once one has said why. */
export function KeepFinding({ versionId, finding }: KeepFindingProps) {
  const [isOpen, setOpen] = useState(false);
  const close = () => setOpen(false);
  return (
    <>
      <Button size="compact-sm" variant="subtle" onClick={() => setOpen(true)}>
        Keep them
      </Button>
      <Modal
        opened={isOpen}
        onClose={close}
        title="Why may these stay?"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <GroundForm versionId={versionId} finding={finding} onDone={close} />
      </Modal>
    </>
  );
}

function GroundForm({ versionId, finding, onDone }: KeepFindingProps & { onDone: () => void }) {
  const keep = useKeepFinding(versionId);
  const [ground, setGround] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    keep.mutate({ code: finding.code, ground }, { onSuccess: onDone });
  };
  return (
    <form onSubmit={submit}>
      <p>{finding.sentence}</p>
      <p className={classes.advice}>
        A model that learns from them may repeat them to anybody who uses it. Your reason is kept with your
        name and the time. It holds for later versions too, until one has such data in another example.
      </p>
      <Textarea
        label="Reason"
        description="For example: these customers agreed to it in their contract. Do not name people here."
        value={ground}
        onChange={(event) => setGround(event.currentTarget.value)}
        error={keep.error && messageOf(keep.error)}
        maxLength={MAX_GROUND_CHARS}
        minRows={3}
        mt="md"
        autosize
        required
        data-autofocus
      />
      <Group justify="flex-end" mt="lg" gap="xs">
        <Button variant="default" onClick={onDone}>
          Cancel
        </Button>
        <Button type="submit" loading={keep.isPending} disabled={ground.trim() === ""}>
          Keep them
        </Button>
      </Group>
    </form>
  );
}

/** By whom, when and why it was decided. */
export function KeptNote({ kept }: { kept: NonNullable<Finding["kept"]> }) {
  return (
    <p className={classes.kept}>
      <strong>Kept</strong> by {kept.kept_by_name ?? "a service"}, <TimeAgo at={kept.kept_at} />
      {kept.is_carried_over && ", carried over from an earlier version"}: {kept.ground}
    </p>
  );
}

/** Takes the decision back, so that the finding is warned of again. */
export function StopKeeping({ versionId, finding }: KeepFindingProps) {
  const stop = useStopKeeping(versionId);
  return (
    <Button
      size="compact-sm"
      variant="subtle"
      loading={stop.isPending}
      onClick={() => stop.mutate(finding.code, { onError: tellFailure })}
    >
      Take it back
    </Button>
  );
}
