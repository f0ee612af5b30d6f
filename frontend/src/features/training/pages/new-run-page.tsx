import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import { ButtonLink } from "@/components/ui/button-link";
import { messageOf } from "@/api/errors";
import type { Dataset, Model, Recipe } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Failure, Forbidden, QueryView } from "@/components/ui/states";
import { Tip } from "@/components/ui/tip";
import { datasetsQuery } from "@/features/datasets/queries";
import { modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import { KnobFields } from "@/features/training/components/knob-fields";
import { RecipeCards } from "@/features/training/components/recipe-cards";
import { estimateQuery, toKnobFields, useStartRun, type Knobs } from "@/features/training/queries";
import { plural } from "@/lib/format";
import { useDraft } from "@/lib/use-draft";
import classes from "./new-run-page.module.css";

const route = getRouteApi("/app/train/new");

interface Draft {
  datasetId: string;
  model: string;
  recipe: Recipe;
  name: string;
  knobs: Knobs;
  /** Made once for this draft: however often Start is pressed or retried, one run begins. */
  idempotencyKey: string;
}

function emptyDraft(): Draft {
  return {
    datasetId: "",
    model: "",
    recipe: "balanced",
    name: "",
    knobs: {},
    idempotencyKey: crypto.randomUUID(),
  };
}

export function NewRunPage() {
  const can = useCan();
  const datasets = useQuery(datasetsQuery);
  const models = useQuery(modelsQuery);
  return (
    <Page title="Make a model of your own" above={<Link to="/train">Train</Link>} width="reading">
      {!can("runs:write") ? (
        <Forbidden what="this page" />
      ) : (
        <QueryView query={datasets} what="your examples" skeleton={<SkeletonLines count={6} height={44} />}>
          {(list) => (
            <QueryView
              query={models}
              what="the base models"
              skeleton={<SkeletonLines count={6} height={44} />}
            >
              {(available) => (
                <Form
                  datasets={list.data.filter((dataset) => dataset.latest_version.status === "ready")}
                  bases={available.filter((model) => model.kind === "base" && model.is_ready)}
                />
              )}
            </QueryView>
          )}
        </QueryView>
      )}
    </Page>
  );
}

function Form({ datasets, bases }: { datasets: Dataset[]; bases: Model[] }) {
  const search = route.useSearch();
  const navigate = useNavigate();
  const start = useStartRun();
  const isStarting = useRef(false);
  const { draft, change, discard } = useDraft(`run:${search.dataset ?? "any"}`, emptyDraft);
  const dataset =
    datasets.find((item) => item.id === (draft.datasetId || search.dataset)) ??
    (search.dataset || draft.datasetId ? undefined : datasets[0]);
  const base = bases.find((model) => model.id === draft.model) ?? bases[0];
  const version = dataset?.latest_version;
  const estimates = useQuery(estimateQuery(version?.id ?? null, base?.id ?? "", draft.knobs));
  const chosen = estimates.data?.estimates.find((estimate) => estimate.recipe === draft.recipe) ?? null;
  const name = draft.name || (dataset?.name ?? "");

  if (datasets.length === 0 || !base) return <NothingToTrainOn hasBase={base !== undefined} />;
  // A key belongs to one exact request: whatever is changed afterwards is another run.
  const edit = (part: Partial<Draft>) => change({ ...part, idempotencyKey: crypto.randomUUID() });
  const begin = () => {
    if (!version || isStarting.current) return;
    isStarting.current = true;
    const body = {
      model: base.id,
      dataset_version_id: version.id,
      recipe: draft.recipe,
      name: name.trim(),
      ...toKnobFields(draft.knobs),
    };
    start.mutate(
      { idempotencyKey: draft.idempotencyKey, body },
      {
        onSuccess: (run) => {
          discard();
          void navigate({ to: "/train/$runId", params: { runId: run.id } });
        },
        onError: () => (isStarting.current = false),
      },
    );
  };
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        begin();
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
          description={version ? plural(version.num_rows, "example") : "These examples are not ready yet"}
        />
        <NativeSelect
          label="Base model"
          data={bases.map((model) => ({ value: model.id, label: model.name }))}
          value={base.id}
          onChange={(event) => edit({ model: event.currentTarget.value })}
          description={
            <Tip label="A base model is one that already reads and writes, but knows nothing of you. Training adds your examples on top; the base model itself stays as it is.">
              What is a base model?
            </Tip>
          }
        />
      </div>
      <Section
        title="How thoroughly?"
        lead="An estimate from your examples. You pay for the time it really takes."
      >
        {estimates.error ? (
          <Failure error={estimates.error} what="the estimate" onRetry={() => void estimates.refetch()} />
        ) : estimates.data ? (
          <RecipeCards reply={estimates.data} chosen={draft.recipe} onChoose={(recipe) => edit({ recipe })} />
        ) : (
          <SkeletonLines count={1} height={156} />
        )}
      </Section>
      <details className={classes.advanced}>
        <summary>Advanced</summary>
        <KnobFields
          knobs={draft.knobs}
          defaults={chosen?.hyperparameters ?? null}
          onChange={(knobs) => edit({ knobs })}
        />
      </details>
      <TextInput
        label="Name of your model"
        value={draft.name}
        placeholder={dataset?.name ?? ""}
        onChange={(event) => edit({ name: event.currentTarget.value })}
        maxLength={64}
      />
      {start.error && (
        <Notice tone="bad" title="The run did not start">
          {messageOf(start.error)} What you chose is kept.
        </Notice>
      )}
      <div className={classes.finish}>
        <Button type="submit" size="md" disabled={!version} loading={start.isPending || start.isSuccess}>
          Start
        </Button>
        <p>You can close this page once it has started.</p>
      </div>
    </form>
  );
}

function NothingToTrainOn({ hasBase }: { hasBase: boolean }) {
  if (!hasBase) {
    return (
      <Empty title="The base model is still being prepared">
        This happens once, after the first start, and takes a few minutes. Come back soon; nothing is lost.
      </Empty>
    );
  }
  return (
    <Empty title="First, some examples" action={<ButtonLink to="/data/new">Add examples</ButtonLink>}>
      A model of your own starts with questions and the answers you wish for. Bring a spreadsheet or try the
      sample data.
    </Empty>
  );
}
