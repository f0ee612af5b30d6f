import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { ModelExport, ModelExportChoice } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Stitches } from "@/components/ui/stitches";
import { TimeAgo } from "@/components/ui/time-ago";
import {
  choicesQuery,
  contentUrl,
  exportsQuery,
  isUnderWay,
  useCancelExport,
  useExportModel,
} from "@/features/models/export-queries";
import { useCan } from "@/features/session/queries";
import { bytes, count, dayOf, money, percent, plural } from "@/lib/format";
import { newKey } from "@/lib/new-key";
import { waitWords } from "@/lib/wait-words";
import { fileWords, FORMS, stageWords } from "./take-away-words";
import classes from "./take-away.module.css";

/** The model as files, for other computers and services. */
export function TakeAway({ modelId }: { modelId: string }) {
  const choices = useQuery(choicesQuery(modelId));
  return (
    <Section
      title="Take it with you"
      lead="The model is yours. Pack it for another computer, and download it. It goes on answering here."
    >
      <QueryView query={choices} what="the forms" skeleton={<SkeletonLines count={4} height={64} />}>
        {(list) => <Forms modelId={modelId} choices={list} />}
      </QueryView>
    </Section>
  );
}

function Forms({ modelId, choices }: { modelId: string; choices: ModelExportChoice[] }) {
  const packed = useQuery(exportsQuery(modelId));
  return (
    <QueryView query={packed} what="what was packed" skeleton={<SkeletonLines count={4} height={64} />}>
      {(list) => (
        <>
          <ul className={classes.forms}>
            {choices.map((choice) => (
              <Form
                key={choice.format}
                modelId={modelId}
                choice={choice}
                newest={newestOf(list, choice.format)}
              />
            ))}
          </ul>
          <Signed />
        </>
      )}
    </QueryView>
  );
}

function newestOf(list: ModelExport[], format: string): ModelExport | null {
  return list.find((one) => one.format === format) ?? null;
}

interface FormProps {
  modelId: string;
  choice: ModelExportChoice;
  newest: ModelExport | null;
}

function Form({ modelId, choice, newest }: FormProps) {
  const can = useCan();
  const { title, about } = FORMS[choice.format];
  const isReady = newest?.status === "succeeded" && !newest.is_expired;
  const isBusy = newest !== null && isUnderWay(newest);
  return (
    <li className={classes.form}>
      <div>
        <h3>{title}</h3>
        <p>{about}</p>
        {choice.reason !== null && <p className={classes.quiet}>Not for this model. {choice.reason}</p>}
      </div>
      <div>
        {can("models:export") && isReady && (
          <Button component="a" href={contentUrl(newest.id)} download aria-label={`Download: ${title}`}>
            Download {newest.bytes !== null && bytes(newest.bytes)}
          </Button>
        )}
        {can("models:export") && !isReady && !isBusy && choice.reason === null && (
          <Pack modelId={modelId} choice={choice} isAgain={newest !== null} />
        )}
      </div>
      {newest && <State modelId={modelId} found={newest} />}
    </li>
  );
}

function Pack({
  modelId,
  choice,
  isAgain,
}: {
  modelId: string;
  choice: ModelExportChoice;
  isAgain: boolean;
}) {
  const [key, setKey] = useState(newKey);
  const pack = useExportModel(modelId);
  return (
    <Button
      variant="default"
      loading={pack.isPending}
      aria-label={`${isAgain ? "Pack again" : "Pack"}: ${FORMS[choice.format].title}`}
      onClick={() =>
        pack.mutate(
          { format: choice.format, key },
          { onSuccess: () => setKey(newKey()), onError: tellFailure },
        )
      }
    >
      {isAgain ? "Pack again" : "Pack"}
    </Button>
  );
}

/** What went wrong. That it cost nothing is said once: the failures that are our own say it themselves. */
function failureOf({ error }: ModelExport): string {
  const message = error?.message ?? "Something went wrong.";
  return message.includes("cost you nothing") ? message : `${message} It cost nothing.`;
}

function State({ modelId, found }: { modelId: string; found: ModelExport }) {
  if (isUnderWay(found)) return <UnderWay modelId={modelId} found={found} />;
  if (found.status === "failed")
    return (
      <div className={classes.wide}>
        <Notice tone="bad" title="It could not be packed">
          {failureOf(found)}
        </Notice>
      </div>
    );
  if (found.status === "cancelled") return null;
  if (found.is_expired)
    return (
      <p className={`${classes.wide} ${classes.quiet}`}>
        Packed <TimeAgo at={found.created_at} />; the files were kept for a while and are gone. Packing again
        makes the same.
      </p>
    );
  return (
    <div className={`${classes.wide} ${classes.quiet}`}>
      Packed <TimeAgo at={found.finished_at ?? found.created_at} /> for {money(found.cost_usd ?? 0)}. Kept
      until {dayOf(found.expires_at ?? found.created_at)}.
      {found.merge && (
        <p>
          Put together, it chooses the same next word as the model here at {percent(found.merge.same_choice)}{" "}
          of {count(found.merge.num_places)} places that were compared.
        </p>
      )}
      <details className={classes.files}>
        <summary>What is in it: {plural(found.files.length, "file")}</summary>
        <ul>
          {found.files.map((file) => (
            <li key={file.name}>
              <code>{file.name}</code>, {bytes(file.bytes)}
              {fileWords(file.name) && `: ${fileWords(file.name)}`}
            </li>
          ))}
        </ul>
      </details>
    </div>
  );
}

function UnderWay({ modelId, found }: { modelId: string; found: ModelExport }) {
  const cancel = useCancelExport(modelId);
  const can = useCan();
  const waits = found.status !== "running";
  return (
    <div className={classes.wide}>
      <Stitches fraction={waits ? null : found.progress} label={`Packing: ${FORMS[found.format].title}`} />
      <p className={classes.quiet} role="status">
        {waits ? waitWords(found) : stageWords(found.stage)} You can close this page; the work goes on.
      </p>
      {can("models:export") && (
        <Button
          variant="default"
          size="xs"
          disabled={found.is_cancelling}
          loading={cancel.isPending}
          onClick={() => cancel.mutate(found.id, { onError: tellFailure })}
        >
          {found.is_cancelling ? "Stopping…" : "Stop packing"}
        </Button>
      )}
    </div>
  );
}

function Signed() {
  return (
    <details className={classes.signed}>
      <summary>How do others know that it came from here, unchanged?</summary>
      <p>
        Every package holds a list of its files, each with a digest, and a signature under that list. Whoever
        gets it unpacks it and asks, on a machine with Tailorbird:
      </p>
      <pre>tailorbird verify FOLDER --url {window.location.origin}</pre>
    </details>
  );
}
