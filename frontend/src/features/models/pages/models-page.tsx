import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Model } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { Status } from "@/components/ui/status";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { BaseName } from "@/features/models/components/base-name";
import { gainOf } from "@/features/models/components/gain";
import { importsQuery, isUnderWay } from "@/features/models/import-queries";
import { isShared, modelName, modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";

const NAME: TableColumn<Model> = {
  key: "name",
  title: "Name",
  sortBy: modelName,
  cell: (model) => (
    <Link to="/models/$modelId" params={{ modelId: model.id }}>
      {modelName(model)}
    </Link>
  ),
};

const TRY: TableColumn<Model> = {
  key: "try",
  title: "",
  align: "end",
  cell: (model) => (
    <Link
      to="/playground"
      search={model.kind === "base" ? { left: model.id } : { left: model.base_model, right: model.id }}
    >
      Try it
    </Link>
  ),
};

const TRY_IF_READY: TableColumn<Model> = {
  ...TRY,
  cell: (model) => (model.is_ready ? TRY.cell(model) : null),
};

const TUNED: TableColumn<Model>[] = [
  NAME,
  {
    key: "gain",
    title: "On unseen examples",
    cell: (model) => gainOf(model) ?? (model.imported ? "made elsewhere" : "not measured"),
  },
  { key: "base", title: "Made from", isSecondary: true, cell: (model) => <BaseName of={model} /> },
  {
    key: "created",
    title: "Made",
    align: "end",
    isSecondary: true,
    sortBy: (model) => model.created,
    cell: (model) => <TimeAgo at={model.created} />,
  },
  TRY_IF_READY,
];

const SHARED: TableColumn<Model>[] = [
  NAME,
  { key: "from", title: "From workspace", isSecondary: true, cell: (model) => <code>{model.owned_by}</code> },
  { key: "base", title: "Made from", isSecondary: true, cell: (model) => <BaseName of={model} /> },
  TRY_IF_READY,
];

const BASE: TableColumn<Model>[] = [
  NAME,
  {
    key: "state",
    title: "State",
    cell: (model) => (
      <Status tone={model.is_ready ? "good" : "quiet"}>
        {model.is_ready ? "Ready" : "Not on this machine"}
      </Status>
    ),
  },
  TRY_IF_READY,
];

export function ModelsPage() {
  const models = useQuery(modelsQuery);
  const can = useCan();
  return (
    <Page
      title="Models"
      lead="The models you made, and the base models they are made from."
      actions={
        <>
          <ButtonLink to="/aliases" variant="default">
            Stable names
          </ButtonLink>
          {can("runs:write") && (
            <ButtonLink to="/models/bring" variant="subtle">
              Bring a model made elsewhere
            </ButtonLink>
          )}
        </>
      }
    >
      <QueryView query={models} what="your models" skeleton={<SkeletonLines count={5} height={36} />}>
        {(list) => (
          <>
            <OnTheirWay />
            <Lists models={list} canTrain={can("runs:write")} canChat={can("chat:use")} />
          </>
        )}
      </QueryView>
    </Page>
  );
}

/** Models that are being brought in; where that cannot be told, the page is good without it. */
function OnTheirWay() {
  const brought = useQuery(importsQuery);
  const found = (brought.data ?? []).filter(isUnderWay);
  if (found.length === 0) return null;
  return (
    <Section title="On their way">
      <ul>
        {found.map((one) => (
          <li key={one.id}>
            <Link to="/models/bring" search={{ id: one.id }}>
              {one.name}
            </Link>{" "}
            is being checked.
          </li>
        ))}
      </ul>
    </Section>
  );
}

interface ListsProps {
  models: Model[];
  canTrain: boolean;
  canChat: boolean;
}

function Lists({ models, canTrain, canChat }: ListsProps) {
  // to whom the playground is closed, "Try it" would lead to a closed door
  const shown = (columns: TableColumn<Model>[]) =>
    columns.filter((column) => canChat || column.key !== TRY.key);
  const tuned = models.filter((model) => model.kind === "tuned" && !isShared(model));
  const shared = models.filter(isShared);
  const bases = models.filter((model) => model.kind === "base");
  return (
    <>
      {tuned.length === 0 ? (
        <Empty
          title="No model of your own yet"
          action={canTrain && <ButtonLink to="/train/new">Make a model</ButtonLink>}
        >
          A finished training run leaves its model here, ready to be tried and used.
        </Empty>
      ) : (
        <Section title="Yours">
          <Table label="Your models" columns={shown(TUNED)} items={tuned} rowKey={(model) => model.id} />
        </Section>
      )}
      {shared.length > 0 && (
        <Section title="Shared with you" lead="Made by another workspace, which lets you talk to them.">
          <Table
            label="Shared with you"
            columns={shown(SHARED)}
            items={shared}
            rowKey={(model) => model.id}
          />
        </Section>
      )}
      <Section title="Base models" lead="They already read and write. Training adds your examples on top.">
        <Table label="Base models" columns={shown(BASE)} items={bases} rowKey={(model) => model.id} />
      </Section>
    </>
  );
}
