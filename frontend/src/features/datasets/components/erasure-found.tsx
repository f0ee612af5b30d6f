import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Erasure } from "@/api/types";
import { Facts, type Fact } from "@/components/ui/facts";
import { Section } from "@/components/ui/page";
import { isEmpty, numNames, numSaid } from "@/features/datasets/components/erasure";
import { RowView } from "@/features/datasets/components/row-view";
import { count, plural } from "@/lib/format";

/** What was found of a person; later what was removed, and what is left to do. */
export function ErasureFound({ erasure }: { erasure: Erasure }) {
  return (
    <>
      {!isEmpty(erasure) && (
        <>
          <Counts erasure={erasure} />
          <Models erasure={erasure} />
        </>
      )}
      <ByHand erasure={erasure} />
      <Places erasure={erasure} />
      <Examples erasure={erasure} />
    </>
  );
}

function Counts({ erasure }: { erasure: Erasure }) {
  const facts: Fact[] = [
    { label: "Examples", value: count(erasure.num_rows) },
    { label: "Uploaded files", value: count(erasure.files.length), note: "each as a whole" },
    { label: "Kept answers", value: count(erasure.num_completions + erasure.num_shadow_answers) },
    { label: "Votes", value: count(erasure.num_preferences), note: "only their words go" },
    { label: "Unsaved changes", value: count(erasure.num_drafts), note: "all those of their examples" },
    ...(erasure.num_grounds > 0
      ? [
          {
            label: "Reasons for keeping",
            value: count(erasure.num_grounds),
            note: "only the words; what was kept stays kept",
          },
        ]
      : []),
    ...textsOf(erasure),
  ];
  return <Facts facts={facts} />;
}

/** What keeps its place and loses only the words. */
function textsOf(erasure: Erasure): Fact[] {
  const names = numNames(erasure);
  const said = numSaid(erasure);
  return [
    ...(names > 0
      ? [
          {
            label: "Names and notes",
            value: count(names),
            note: "of runs, models, files, keys: only the words",
          },
        ]
      : []),
    ...(said > 0
      ? [{ label: "Messages", value: count(said), note: "of jobs and webhooks: only the words" }]
      : []),
  ];
}

function Models({ erasure }: { erasure: Erasure }) {
  return (
    <Section
      title="Models that may know this person"
      lead="They learned from these examples, or were measured with them. Removing the examples does not change them: make them anew, or delete them."
    >
      {erasure.models.length === 0 ? (
        <p>No model learned from them.</p>
      ) : (
        <ul>
          {erasure.models.map((model) => (
            <li key={model.model}>
              <ModelName model={model} />
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function ModelName({ model }: { model: Erasure["models"][number] }): ReactNode {
  const name = model.name ?? model.model;
  if (model.is_deleted) return `${name} (deleted, can be restored)`;
  return (
    <Link to="/models/$modelId" params={{ modelId: model.model }}>
      {name}
    </Link>
  );
}

function ByHand({ erasure }: { erasure: Erasure }) {
  return (
    <>
      <Unknown models={erasure.by_hand.filter((one) => one.kind === "imported_model")} />
      <Words found={erasure.by_hand.filter((one) => one.kind !== "imported_model")} />
    </>
  );
}

/** Models that nobody here can answer for. */
function Unknown({ models }: { models: Erasure["by_hand"] }) {
  if (models.length === 0) return null;
  return (
    <Section
      title="Models made elsewhere"
      lead="What they learned from is not known here, so nobody can say whether this person was in it. Ask whoever made them, and delete those that may know."
    >
      <ul>
        {models.map((one) => (
          <li key={one.id}>
            <Link to="/models/$modelId" params={{ modelId: one.id }}>
              {one.name}
            </Link>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Words({ found }: { found: Erasure["by_hand"] }) {
  if (found.length === 0) return null;
  return (
    <Section
      title="Change these yourself"
      lead="They hold the words too, and stay as they are until you change them."
    >
      <ul>
        {found.map((one) => (
          <li key={one.id}>
            <WhereToChange found={one} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** What holds the words, and the way there. */
function WhereToChange({ found: { kind, id, name } }: { found: Erasure["by_hand"][number] }): ReactNode {
  switch (kind) {
    case "dataset_name":
      return (
        <Link to="/data/$datasetId" params={{ datasetId: id }}>
          Name of the examples: {name}
        </Link>
      );
    case "prompt_profile":
      return <Link to="/aliases">Instructions of the stable name {name}</Link>;
    case "alias_name":
      return (
        <Link to="/aliases/$aliasName" params={{ aliasName: name }}>
          The stable name {name}: make another, and delete this one
        </Link>
      );
    case "model_id":
      return (
        <Link to="/models/$modelId" params={{ modelId: id }}>
          The id of the model {name}: train another, and delete this one
        </Link>
      );
    case "webhook_address":
      return (
        <Link to="/settings/webhooks/$webhookId" params={{ webhookId: id }}>
          Address of the webhook {name}
        </Link>
      );
    case "invitation":
      return (
        <Link to="/settings" search={{ part: "members" }}>
          The invitation of {name}: withdraw it
        </Link>
      );
    case "workspace_name":
      return (
        <Link to="/settings" search={{ part: "workspace" }}>
          Name of the workspace: {name}
        </Link>
      );
    case "imported_model":
      // told by themselves, for they need not hold the words
      return null;
  }
}

function Places({ erasure }: { erasure: Erasure }) {
  if (erasure.datasets.length + erasure.files.length === 0) return null;
  return (
    <Section title="Where">
      <ul>
        {erasure.datasets.map((dataset) => (
          <li key={dataset.id}>
            {dataset.is_deleted ? (
              `${dataset.name} (deleted)`
            ) : (
              <Link to="/data/$datasetId" params={{ datasetId: dataset.id }}>
                {dataset.name}
              </Link>
            )}
            :{" "}
            {dataset.versions
              .map((version) =>
                version.num_rows > 0
                  ? `${plural(version.num_rows, "example")} in version ${version.number}`
                  : `what version ${version.number} tells of its changes`,
              )
              .join(", ")}
          </li>
        ))}
        {erasure.files.map((file) => (
          <li key={file.id}>The uploaded file {file.filename}</li>
        ))}
      </ul>
    </Section>
  );
}

function Examples({ erasure }: { erasure: Erasure }) {
  if (erasure.examples.length === 0) return null;
  return (
    <Section
      title="Some of the examples"
      lead={`${count(erasure.examples.length)} of ${count(erasure.num_rows)}. Are they about the person you mean?`}
    >
      {erasure.examples.map((example) => (
        <RowView key={`${example.version_id} ${example.number}`} row={example.content} />
      ))}
    </Section>
  );
}
