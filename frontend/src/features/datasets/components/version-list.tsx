import { Badge, Button, Group, Modal } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { PastVersion } from "@/api/types";
import { Confirm } from "@/components/ui/confirm";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { TimeAgo } from "@/components/ui/time-ago";
import { VersionDiff } from "@/features/datasets/components/version-diff";
import { changeWords } from "@/features/datasets/components/version-words";
import { historyQuery, useGoBack } from "@/features/datasets/version-queries";
import { plural } from "@/lib/format";
import classes from "./version-list.module.css";

interface VersionListProps {
  datasetId: string;
  latestId: string;
  canChange: boolean;
}

/** Who changed what and when; any of it can be looked at and gone back to. */
export function VersionList({ datasetId, latestId, canChange }: VersionListProps) {
  const history = useQuery(historyQuery(datasetId));
  const [shown, setShown] = useState<PastVersion | null>(null);
  const [wanted, setWanted] = useState<PastVersion | null>(null);
  const goBack = useGoBack(latestId);
  const close = () => setWanted(null);
  return (
    <Section
      title="Versions"
      lead="Nothing is lost: what was trained before keeps the version it learned from."
    >
      <QueryView query={history} what="the versions" skeleton={<SkeletonLines count={3} height={40} />}>
        {(loaded) => (
          <ol className={classes.versions}>
            {loaded.data.map((version) => (
              <VersionItem
                key={version.id}
                version={version}
                isLatest={version.id === latestId}
                onShow={() => setShown(version)}
                {...(canChange && version.id !== latestId && version.status === "ready"
                  ? { onGoBack: () => setWanted(version) }
                  : {})}
              />
            ))}
          </ol>
        )}
      </QueryView>
      <Modal
        opened={shown !== null}
        onClose={() => setShown(null)}
        size="xl"
        title={shown ? `What changed in version ${shown.number}` : ""}
        closeButtonProps={{ "aria-label": "Close" }}
      >
        {shown?.parent_id && <VersionDiff versionId={shown.id} before={shown.parent_id} />}
      </Modal>
      <Confirm
        isOpen={wanted !== null}
        onClose={close}
        title={`Go back to version ${wanted?.number ?? ""}?`}
        action="Go back"
        keep="Stay"
        isHarmless
        isBusy={goBack.isPending}
        onConfirm={() => wanted && goBack.mutate(wanted.number, { onSuccess: close, onError: tellFailure })}
      >
        <p>A new version is made that is what this one was. Those in between stay in the list.</p>
      </Confirm>
    </Section>
  );
}

interface VersionItemProps {
  version: PastVersion;
  isLatest: boolean;
  onShow: () => void;
  onGoBack?: () => void;
}

function VersionItem({ version, isLatest, onShow, onGoBack }: VersionItemProps) {
  return (
    <li>
      <div>
        <div className={classes.what}>
          <span className={classes.number}>{version.number}</span> {changeWords(version)}
          {isLatest && (
            <Badge variant="light" size="sm">
              Now
            </Badge>
          )}
        </div>
        <p className={classes.who}>
          {version.created_by_name ?? "A service"}, <TimeAgo at={version.created_at} />
          {version.status === "ready"
            ? ` · ${plural(version.num_rows, "example")}`
            : version.status === "failed"
              ? ` · ${version.error?.message ?? "could not be made"}`
              : " · being made"}
          {version.num_erased > 0 &&
            ` · ${plural(version.num_erased, "example")} of a person removed for good`}
        </p>
      </div>
      <Group gap="xs">
        {version.parent_id && version.status === "ready" && (
          <Button
            size="compact-sm"
            variant="subtle"
            aria-label={`What changed in version ${version.number}`}
            onClick={onShow}
          >
            What changed
          </Button>
        )}
        {onGoBack && (
          <Button
            size="compact-sm"
            variant="default"
            aria-label={`Go back to version ${version.number}`}
            onClick={onGoBack}
          >
            Go back
          </Button>
        )}
      </Group>
    </li>
  );
}
