import { Button, Group, Modal, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { messageOf } from "@/api/errors";
import type { Erasure } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { tell, tellFailure } from "@/components/ui/notices";
import { TimeAgo } from "@/components/ui/time-ago";
import { ErasureFound } from "@/features/datasets/components/erasure-found";
import { isEmpty } from "@/features/datasets/components/erasure";
import { useConfirmErasure, useDiscardErasure } from "@/features/datasets/erasure-queries";
import { count, plural } from "@/lib/format";

/** Typed by hand before anything goes, so that nobody does it by a slip. */
const WORD = "ERASE";

export function ErasureView({ erasure }: { erasure: Erasure }) {
  return (
    <>
      <State erasure={erasure} />
      <ErasureFound erasure={erasure} />
    </>
  );
}

function State({ erasure }: { erasure: Erasure }) {
  const versions = erasure.datasets.flatMap((dataset) => dataset.versions);
  switch (erasure.status) {
    case "found":
      return isEmpty(erasure) ? <NothingFound erasure={erasure} /> : <Ask erasure={erasure} />;
    case "erasing":
      return (
        <Notice tone="quiet" title="Being removed">
          {versions.filter((version) => version.is_done).length} of {plural(versions.length, "version")}{" "}
          written anew. You can close this page; it goes on by itself.
        </Notice>
      );
    case "failed":
      return <Stopped erasure={erasure} />;
    case "erased":
      return (
        <Notice tone="good" title={`${whatGoes(erasure.num_rows_erased)} removed for good`}>
          Done {erasure.finished_at !== null && <TimeAgo at={erasure.finished_at} />}, confirmed by{" "}
          {erasure.confirmed_by_name ?? "a service"}. What was looked for is forgotten too.
        </Notice>
      );
  }
}

/** Somebody may be in no example, and yet in names or answers. */
function whatGoes(numRows: number): string {
  return numRows > 0 ? plural(numRows, "example") : "What is listed below";
}

function NothingFound({ erasure }: { erasure: Erasure }) {
  return (
    <Notice tone="quiet" title="Nothing was found" action={<Discard erasure={erasure} />}>
      No example, file, kept answer, name or message holds these words as they were written. Try another
      spelling. A column of a file that nobody chose when it was added is not searched.
    </Notice>
  );
}

function Ask({ erasure }: { erasure: Erasure }) {
  const [isAsking, setAsking] = useState(false);
  return (
    <>
      <Notice
        tone="warn"
        title={`${whatGoes(erasure.num_rows)} would be removed`}
        action={
          <Group gap="xs">
            <Button color="red" onClick={() => setAsking(true)}>
              Remove all of it
            </Button>
            <Discard erasure={erasure} />
          </Group>
        }
      >
        Look below at what was found. Examples go from every version, also from old ones. Nothing of it can be
        brought back.
      </Notice>
      <AskForWord erasure={erasure} isOpen={isAsking} onClose={() => setAsking(false)} />
    </>
  );
}

interface AskForWordProps {
  erasure: Erasure;
  isOpen: boolean;
  onClose: () => void;
}

function AskForWord({ erasure, isOpen, onClose }: AskForWordProps) {
  const confirm = useConfirmErasure(erasure.id);
  const [word, setWord] = useState("");
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title="Remove this person for good?"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (word === WORD) confirm.mutate(undefined, { onSuccess: onClose });
        }}
      >
        <p>
          {plural(erasure.num_rows, "example")} and {plural(erasure.files.length, "uploaded file")} go, files
          as a whole, and whatever else was found. Nobody can bring them back. Answers that are given until it
          is done are not kept if they name this person.
        </p>
        <TextInput
          mt="md"
          label={`Type ${WORD} to confirm`}
          value={word}
          onChange={(event) => setWord(event.currentTarget.value)}
          autoComplete="off"
        />
        {confirm.error && (
          <Notice tone="bad" title="Nothing was removed">
            {messageOf(confirm.error)}
          </Notice>
        )}
        <Group justify="flex-end" mt="lg" gap="xs">
          <Button variant="default" onClick={onClose}>
            Keep it
          </Button>
          <Button type="submit" color="red" disabled={word !== WORD} loading={confirm.isPending}>
            Remove for good
          </Button>
        </Group>
      </form>
    </Modal>
  );
}

function Discard({ erasure }: { erasure: Erasure }) {
  const navigate = useNavigate();
  const discard = useDiscardErasure(erasure.id);
  const forget = () =>
    discard.mutate(undefined, {
      onError: tellFailure,
      onSuccess: () => {
        void navigate({ to: "/data/erase" });
        tell("The search was forgotten. Nothing was removed.");
      },
    });
  return (
    <Button variant="default" onClick={forget} loading={discard.isPending}>
      Forget this search
    </Button>
  );
}

function Stopped({ erasure }: { erasure: Erasure }) {
  const confirm = useConfirmErasure(erasure.id);
  return (
    <Notice
      tone="bad"
      title="It stopped before the end"
      action={
        <Button
          onClick={() => confirm.mutate(undefined, { onError: tellFailure })}
          loading={confirm.isPending}
        >
          Go on
        </Button>
      }
    >
      {erasure.error?.message} {plural(erasure.num_rows_erased, "example")} of {count(erasure.num_rows)} are
      removed already.
    </Notice>
  );
}
