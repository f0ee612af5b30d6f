import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Erasure } from "@/api/types";
import { Facts, type Fact } from "@/components/ui/facts";
import { Section } from "@/components/ui/page";
import { isEmpty } from "@/features/datasets/components/erasure";
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
  ];
  return <Facts facts={facts} />;
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
            {one.kind === "dataset_name" ? (
              <Link to="/data/$datasetId" params={{ datasetId: one.id }}>
                Name of the examples: {one.name}
              </Link>
            ) : (
              <Link to="/aliases">Instructions of the stable name {one.name}</Link>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
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
