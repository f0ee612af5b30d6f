import { Button, NativeSelect, TextInput } from "@mantine/core";
import { messageOf } from "@/api/errors";
import type { DatasetVersion, Estimate, Run } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { ROW_KINDS } from "@/components/ui/row-kind";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Failure } from "@/components/ui/states";
import { Tip } from "@/components/ui/tip";
import { ChangeList } from "@/features/training/components/change-list";
import { changesOf } from "@/features/training/components/changes";
import { CheckedWith, LeakageCheck } from "@/features/training/components/checked-with";
import { KnobFields } from "@/features/training/components/knob-fields";
import { RecipeCards } from "@/features/training/components/recipe-cards";
import { ScheduleFields } from "@/features/training/components/schedule-fields";
import { hyperparametersOf } from "@/features/training/knobs";
import { useRunForm, type RunFormProps } from "@/features/training/components/use-run-form";
import { plural, whenLabel } from "@/lib/format";
import { useNow } from "@/lib/use-now";
import classes from "./run-form.module.css";

const BASE_MODEL =
  "A base model is one that already reads and writes, but knows nothing of you. Training adds your examples on top; the base model itself stays as it is.";

export function RunForm({ datasets, bases, wanted, copied }: RunFormProps) {
  const form = useRunForm({ datasets, bases, wanted, copied });
  const { draft, edit, dataset, base, version, estimates, reply, differs } = form;
  const now = useNow();
  const chosen = reply?.estimates.find((estimate) => estimate.recipe === draft.recipe) ?? null;
  const mark = (isChanged: boolean) => (isChanged ? { className: classes.changed ?? "" } : {});
  const later = draft.schedule.startAfter;
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        form.begin();
      }}
    >
      <div className={classes.choices}>
        <NativeSelect
          label="Your examples"
          data={[
            ...(dataset ? [] : [{ value: "", label: "Choose your examples" }]),
            ...datasets.map((item) => ({ value: item.id, label: item.name })),
          ]}
          value={dataset?.id ?? ""}
          onChange={(event) => edit({ datasetId: event.currentTarget.value })}
          description={version ? contentsOf(version) : "These examples are not ready yet"}
          {...mark("dataset_version_id" in differs)}
        />
        <CheckedWith
          datasets={datasets}
          dataset={dataset}
          version={version}
          hasBefore={Boolean(copied?.run.validation_dataset_version_id)}
          value={draft.checkedWith}
          onChange={(checkedWith) => edit({ checkedWith })}
          {...mark("validation_dataset_version_id" in differs)}
        />
        <NativeSelect
          label="Base model"
          data={bases.map((model) => ({ value: model.id, label: model.name }))}
          value={base?.id ?? ""}
          onChange={(event) => edit({ model: event.currentTarget.value })}
          description={<Tip label={BASE_MODEL}>What is a base model?</Tip>}
          {...mark("model" in differs)}
        />
      </div>
      <LeakageCheck {...form.compared} />
      <Section
        title={"recipe" in differs ? "How thoroughly? · changed" : "How thoroughly?"}
        lead="An estimate from your examples. You pay for the time it really takes."
      >
        {estimates.error ? (
          <Failure error={estimates.error} what="the estimate" onRetry={() => void estimates.refetch()} />
        ) : reply ? (
          <RecipeCards reply={reply} chosen={draft.recipe} onChoose={(recipe) => edit({ recipe })} />
        ) : (
          <SkeletonLines count={1} height={156} />
        )}
      </Section>
      <details className={classes.advanced} open={copied !== null}>
        <summary>Advanced</summary>
        <div className={classes.knobs}>
          <KnobFields
            knobs={draft.knobs}
            defaults={
              copied && !("recipe" in differs)
                ? usedBy(copied.run, chosen?.hyperparameters ?? null)
                : (chosen?.hyperparameters ?? null)
            }
            kind={form.kind}
            onChange={(knobs) => edit({ knobs })}
            copied={copied?.run ?? null}
          />
          <ScheduleFields
            schedule={draft.schedule}
            onChange={(part) => edit({ schedule: { ...draft.schedule, ...part } })}
            differs={differs}
          />
        </div>
      </details>
      <TextInput
        label="Name of your model"
        value={draft.name}
        placeholder={dataset?.name ?? ""}
        onChange={(event) => edit({ name: event.currentTarget.value })}
        maxLength={64}
        {...mark("name" in differs)}
      />
      {chosen?.warning && (
        <Notice tone="warn" title="The limit is lower than the estimate">
          {chosen.warning.message}
        </Notice>
      )}
      {copied && <Differences changes={changesOf(copied.run, form.changes)} />}
      {form.error && (
        <Notice tone="bad" title="The run did not start">
          {messageOf(form.error)} What you chose is kept.
        </Notice>
      )}
      <div className={classes.finish}>
        <Button type="submit" size="md" disabled={!version || !base} loading={form.isBusy}>
          {later !== null && later * 1000 > now ? `Start ${whenLabel(later, now)}` : "Start"}
        </Button>
        <p>You can close this page once it has started.</p>
      </div>
    </form>
  );
}

function contentsOf({ kind, num_rows }: DatasetVersion) {
  return kind === "chat"
    ? plural(num_rows, "example")
    : `${plural(num_rows, "example")} · ${ROW_KINDS[kind].label.toLowerCase()}`;
}

function usedBy(run: Run, recipe: Estimate["hyperparameters"] | null) {
  if (!recipe) return null;
  const { n_epochs: epochs, batch_size: size } = hyperparametersOf(run);
  return {
    ...recipe,
    n_epochs: typeof epochs === "number" ? epochs : recipe.n_epochs,
    batch_size: typeof size === "number" ? size : recipe.batch_size,
    rank: run.adapter.rank ?? recipe.rank,
    method: run.adapter.type,
  };
}

function Differences({ changes }: { changes: ReturnType<typeof changesOf> }) {
  return (
    <div className={classes.differences} role="status">
      {changes.length === 0 ? (
        <p>
          Nothing is changed yet: it would run just as before, on the same examples and with the same seed.
        </p>
      ) : (
        <>
          <p>What will be different:</p>
          <ChangeList changes={changes} />
        </>
      )}
    </div>
  );
}
