import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError } from "@/api/errors";
import type { DatasetVersion, ScalingStudy } from "@/api/types";
import { ScalingCurve, type Range } from "@/components/charts/scaling-curve";
import { Confirm } from "@/components/ui/confirm";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Stitches } from "@/components/ui/stitches";
import { Table } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import {
  isUnderWay,
  scalingEstimateQuery,
  studiesQuery,
  useCancelStudy,
  useStartStudy,
} from "@/features/datasets/scaling-queries";
import { count, duration, durationRange, money, moneyRange, plural } from "@/lib/format";
import { newKey } from "@/lib/new-key";
import { waitWords } from "@/lib/wait-words";
import classes from "./enough-check.module.css";

const LEAD =
  "Trains the same model on a quarter, half and all of these examples, and shows whether more of them would make it better.";

/** A verdict early: what more rows would bring, before somebody writes them. */
export function EnoughCheck({ version, canAsk }: { version: DatasetVersion; canAsk: boolean }) {
  const studies = useQuery(studiesQuery(version.id));
  return (
    <Section title="Is it enough?" lead={LEAD}>
      <QueryView query={studies} what="the check" skeleton={<SkeletonLines count={2} height={32} />}>
        {({ data: [newest], min_train: minTrain, min_heldout: minHeldout }) =>
          version.num_train < minTrain || version.num_heldout < minHeldout ? (
            <p>
              There are {plural(version.num_train, "example")} to learn from and {count(version.num_heldout)}{" "}
              kept back to judge by. It takes at least {count(minTrain)} and {count(minHeldout)}, about a
              hundred together, to say anything: so few are rarely enough.
            </p>
          ) : newest === undefined ? (
            <Offer versionId={version.id} canAsk={canAsk} action="Find out" />
          ) : (
            <Study study={newest} canAsk={canAsk} />
          )
        }
      </QueryView>
    </Section>
  );
}

function Study({ study, canAsk }: { study: ScalingStudy; canAsk: boolean }) {
  if (isUnderWay(study)) return <UnderWay study={study} canAsk={canAsk} />;
  if (study.status === "succeeded" && study.result) return <Answer study={study} canAsk={canAsk} />;
  const again = <Offer versionId={study.dataset_version_id} canAsk={canAsk} action="Try again" />;
  if (study.status === "cancelled") {
    return (
      <>
        <p>
          The last check was cancelled <TimeAgo at={study.finished_at ?? study.created_at} />. It cost{" "}
          {money(study.cost_usd ?? 0)}.
        </p>
        {again}
      </>
    );
  }
  return (
    <>
      <Notice tone="bad" title="The check could not be finished">
        {study.error?.message ?? "Something went wrong."} It cost nothing.
      </Notice>
      {again}
    </>
  );
}

function Offer({ versionId, canAsk, action }: { versionId: string; canAsk: boolean; action: string }) {
  const [isOpen, setOpen] = useState(false);
  const [key, setKey] = useState(newKey);
  const estimate = useQuery({ ...scalingEstimateQuery(versionId), enabled: canAsk });
  const start = useStartStudy(versionId);
  if (!canAsk) return <p>Nobody has asked yet. Whoever may train here can.</p>;
  const { data, error } = estimate;
  if (error) return <p>{error instanceof ApiError ? error.message : "The price could not be found out."}</p>;
  if (!data) return <SkeletonLines count={1} height={32} />;
  return (
    <div className={classes.offer}>
      <Button variant="default" onClick={() => setOpen(true)}>
        {action}
      </Button>
      <span className={classes.price}>
        {durationRange(data.seconds_low, data.seconds_high)},{" "}
        {moneyRange(data.cost_usd_low, data.cost_usd_high)}
      </span>
      <Confirm
        isOpen={isOpen}
        onClose={() => setOpen(false)}
        title="Check whether these are enough?"
        action="Start the check"
        keep="Not now"
        isHarmless
        isBusy={start.isPending}
        onConfirm={() =>
          start.mutate(key, {
            onSuccess: () => {
              setOpen(false);
              setKey(newKey());
            },
            onError: tellFailure,
          })
        }
      >
        <p>
          Three short trainings, on {data.parts.map(count).join(", ")} examples. Each is judged by{" "}
          {plural(data.num_heldout, "example")} that it has not seen.
        </p>
        <p>
          It will likely take {durationRange(data.seconds_low, data.seconds_high)} and cost{" "}
          {moneyRange(data.cost_usd_low, data.cost_usd_high)}. You can cancel it, and then pay for what it has
          done. No model is kept.
        </p>
      </Confirm>
    </div>
  );
}

function UnderWay({ study, canAsk }: { study: ScalingStudy; canAsk: boolean }) {
  const cancel = useCancelStudy(study);
  const waits = study.status !== "running";
  return (
    <>
      <Stitches fraction={waits ? null : study.progress} label="Checking whether these are enough" />
      <p>
        {waits
          ? waitWords(study)
          : study.learning_from === null
            ? "Putting the answer together."
            : `Learning from ${count(study.learning_from)} of ${count(study.num_train)} examples.`}{" "}
        It takes about {duration(study.estimated_seconds)} in all. You can close this page; the work goes on.
      </p>
      {study.points.length > 0 && <Curve study={study} />}
      {canAsk && (
        <Button
          variant="default"
          disabled={study.is_cancelling}
          loading={cancel.isPending}
          onClick={() => cancel.mutate(undefined, { onError: tellFailure })}
        >
          {study.is_cancelling ? "Cancelling…" : "Cancel the check"}
        </Button>
      )}
    </>
  );
}

const TONES = { enough: "good", more_would_help: "warn", cannot_tell: "quiet" } as const;

function Answer({ study, canAsk }: { study: ScalingStudy; canAsk: boolean }) {
  if (!study.result) return null;
  const { verdict, sentence, limits } = study.result;
  const [headline = sentence, ...rest] = sentence.split(": ");
  const words = rest.join(": ");
  return (
    <>
      <Notice tone={TONES[verdict]} title={headline}>
        {words.charAt(0).toUpperCase() + words.slice(1)}
      </Notice>
      <Curve study={study} />
      <details className={classes.limits}>
        <summary>How sure is this?</summary>
        <ul>
          {limits.map((limit) => (
            <li key={limit}>{limit}</li>
          ))}
        </ul>
      </details>
      <p className={classes.price}>
        Checked <TimeAgo at={study.finished_at ?? study.created_at} /> with {study.model}, for{" "}
        {money(study.cost_usd ?? 0)}.
      </p>
      {canAsk && verdict === "cannot_tell" && (
        <Offer versionId={study.dataset_version_id} canAsk={canAsk} action="Check again" />
      )}
    </>
  );
}

interface Line {
  name: string;
  size: number;
  loss: Range;
}

function Curve({ study }: { study: ScalingStudy }) {
  const points = study.points.map((point) => ({ size: point.num_rows, loss: point.loss }));
  const { fit, result } = study;
  const first = points.at(fit?.flattens ? -2 : 0);
  const forecast = result && { size: study.num_train + result.num_more, loss: result.loss_with_more };
  const lines: Line[] = points.map((point) => ({ ...point, name: count(point.size) }));
  if (forecast) lines.push({ ...forecast, name: `${count(forecast.size)}, expected` });
  return (
    <>
      <ScalingCurve
        points={points}
        fit={fit && first ? { scale: fit.scale, exponent: fit.exponent.value, from: first.size } : null}
        forecast={forecast}
      />
      <div className={classes.numbers}>
        <Table
          label="Error by number of examples"
          items={lines}
          rowKey={(line) => line.name}
          columns={[
            { key: "size", title: "Examples", cell: (line) => line.name },
            { key: "loss", title: "Error", align: "end", cell: (line) => line.loss.value.toFixed(3) },
            {
              key: "range",
              title: "Range",
              align: "end",
              cell: (line) => `${line.loss.low.toFixed(3)} – ${line.loss.high.toFixed(3)}`,
            },
          ]}
        />
      </div>
      <p className={classes.price}>
        The error says how surprised the model is by the answers of examples that it has not seen.
        {study.base_loss !== null && ` Of the untouched model it is ${study.base_loss.toFixed(3)}.`} All three
        are judged by the same examples, so their differences are surer than the ranges look.
      </p>
    </>
  );
}
