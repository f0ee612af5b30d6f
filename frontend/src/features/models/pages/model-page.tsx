import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import type { Model } from "@/api/types";
import { TrafficSection } from "@/components/charts/traffic-section";
import { ButtonLink } from "@/components/ui/button-link";
import { CodeBlock } from "@/components/ui/code-block";
import { Facts } from "@/components/ui/facts";
import { Notice } from "@/components/ui/notice";
import { offerUndo, tellFailure } from "@/components/ui/notices";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { TimeAgo } from "@/components/ui/time-ago";
import { Tip } from "@/components/ui/tip";
import { versionQuery } from "@/features/datasets/queries";
import { BaseName } from "@/features/models/components/base-name";
import { Brought } from "@/features/models/components/brought";
import { gainOf } from "@/features/models/components/gain";
import { ProofSection } from "@/features/models/components/proof-section";
import { SharingPanel } from "@/features/models/components/sharing-panel";
import { TakeAway } from "@/features/models/components/take-away";
import {
  isShared,
  modelName,
  modelQuery,
  useDeleteModel,
  useRestoreModel,
  useTraffic,
} from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import { runQuery } from "@/features/training/queries";
import { curlSnippet, pythonSnippet } from "@/lib/snippets";

const route = getRouteApi("/app/models/$modelId");

export function ModelPage() {
  const { modelId } = route.useParams();
  const model = useQuery(modelQuery(modelId));
  const loaded = model.data;
  return (
    <Page
      title={loaded ? modelName(loaded) : modelName(modelId)}
      above={<Link to="/models">Models</Link>}
      lead={loaded && leadOf(loaded)}
      actions={loaded && <Actions model={loaded} />}
    >
      <QueryView query={model} what="this model" skeleton={<SkeletonLines count={6} height={40} />}>
        {(data) => <Content model={data} />}
      </QueryView>
    </Page>
  );
}

function leadOf(model: Model): string | undefined {
  if (isShared(model)) return `Another workspace, ${model.owned_by}, lets you talk to it.`;
  return model.kind === "base" ? "A base model. It knows nothing of you yet." : undefined;
}

function Actions({ model }: { model: Model }) {
  const can = useCan();
  const navigate = useNavigate();
  const remove = useDeleteModel();
  const restore = useRestoreModel();
  const isTuned = model.kind === "tuned";
  const deleteIt = () =>
    remove.mutate(model.id, {
      onError: tellFailure,
      onSuccess: () => {
        void navigate({ to: "/models" });
        offerUndo(`“${modelName(model)}” was deleted.`, () => restore.mutateAsync(model.id));
      },
    });
  return (
    <>
      {isTuned && !isShared(model) && can("models:write") && (
        <Button variant="default" onClick={deleteIt} loading={remove.isPending}>
          Delete
        </Button>
      )}
      {model.is_ready && can("chat:use") && (
        <ButtonLink
          to="/playground"
          search={isTuned ? { left: model.base_model, right: model.id } : { left: model.id }}
        >
          Try it
        </ButtonLink>
      )}
    </>
  );
}

function Content({ model }: { model: Model }) {
  const origin = window.location.origin;
  const can = useCan();
  const isOurs = model.kind === "tuned" && !isShared(model);
  return (
    <>
      {isOurs &&
        (model.imported ? <Brought model={model} from={model.imported} /> : <Lineage model={model} />)}
      {isOurs && <ProofSection model={model} />}
      {model.method === "full" && (
        <Notice tone="quiet" title="This one is a whole model">
          Every part of it has learned, so it is no add-on to a base model, and the chat here cannot use it.
        </Notice>
      )}
      <Section
        title="Use it in your programs"
        lead={
          <>
            Any client that speaks the OpenAI interface works. Make a key under{" "}
            <Link to="/settings" search={{ part: "keys" }}>
              Settings, API keys
            </Link>
            .
          </>
        }
      >
        <CodeBlock label="Name of the model" code={model.id} />
        <CodeBlock label="From the command line" code={curlSnippet(model.id, origin)} />
        <CodeBlock label="From Python" code={pythonSnippet(model.id, origin)} />
      </Section>
      {model.method !== "full" && can("usage:read") && <Traffic model={model.id} />}
      {isOurs && <TakeAway modelId={model.id} />}
      {isOurs && can("workspace:admin") && <SharingPanel modelId={model.id} />}
    </>
  );
}

function Traffic({ model }: { model: string }) {
  return <TrafficSection {...useTraffic(model)} />;
}

/** Where a model comes from: its examples, its run, its base. */
function Lineage({ model }: { model: Model }) {
  const run = useQuery({ ...runQuery(model.run_id ?? ""), enabled: model.run_id !== null });
  const versionId = run.data?.dataset_version_id ?? null;
  const version = useQuery({ ...versionQuery(versionId ?? ""), enabled: versionId !== null });
  return (
    <Section title="Where it comes from">
      <Facts
        facts={[
          {
            label: (
              <Tip label="How much less error it makes on good answers that were never used for training.">
                On unseen examples
              </Tip>
            ),
            value: gainOf(model) ?? "not measured",
            note: "than the base model",
          },
          {
            label: "Examples",
            value: version.data ? (
              <Link to="/data/$datasetId" params={{ datasetId: version.data.dataset_id }}>
                {run.data?.dataset_name ?? "Examples"}
              </Link>
            ) : (
              (run.data?.dataset_name ?? "—")
            ),
            note: version.data && `version ${version.data.number}`,
          },
          {
            label: "Training run",
            value: model.run_id ? (
              <Link to="/train/$runId" params={{ runId: model.run_id }}>
                {run.data?.name ?? "See the run"}
              </Link>
            ) : (
              "—"
            ),
          },
          {
            label: "Base model",
            value: (
              <Link to="/models/$modelId" params={{ modelId: model.base_model }}>
                <BaseName of={model} />
              </Link>
            ),
          },
          { label: "Made", value: <TimeAgo at={model.created} /> },
        ]}
      />
    </Section>
  );
}
