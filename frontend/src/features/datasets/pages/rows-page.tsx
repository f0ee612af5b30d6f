import { Drawer } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useRef, useState } from "react";
import type { Dataset, DatasetVersion, Row, RowChange } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { tell, tellFailure } from "@/components/ui/notices";
import { Page } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { leftOutWords } from "@/features/datasets/components/health";
import { Making } from "@/features/datasets/components/making";
import { datasetQuery } from "@/features/datasets/queries";
import { DraftBar } from "@/features/datasets/rows/draft-bar";
import { RowPanel } from "@/features/datasets/rows/row-panel";
import { fetchPlace, useAllNumbers, useDraft } from "@/features/datasets/rows/row-queries";
import { RowsTable, type TableHandle } from "@/features/datasets/rows/rows-table";
import { RowsToolbar } from "@/features/datasets/rows/rows-toolbar";
import { MAX_CHOSEN, SelectionBar } from "@/features/datasets/rows/selection-bar";
import { isNarrowed, tidy, type RowsWanted } from "@/features/datasets/rows/wanted";
import { useCan } from "@/features/session/queries";
import { plural } from "@/lib/format";
import classes from "./rows-page.module.css";

const route = getRouteApi("/app/data/$datasetId/rows");

export function RowsPage() {
  const { datasetId } = route.useParams();
  const dataset = useQuery(datasetQuery(datasetId));
  return (
    <Page
      title={dataset.data ? `Examples of ${dataset.data.name}` : "Examples"}
      width="full"
      above={
        <Link to="/data/$datasetId" params={{ datasetId }}>
          {dataset.data?.name ?? "Back"}
        </Link>
      }
    >
      <QueryView query={dataset} what="these examples" skeleton={<SkeletonLines count={8} height={40} />}>
        {(loaded) => <Ready dataset={loaded} />}
      </QueryView>
    </Page>
  );
}

/** What is looked at is the newest version that is ready; while another is being made, it is only looked at. */
function Ready({ dataset }: { dataset: Dataset }) {
  const latest = dataset.latest_version;
  const draft = useDraft(dataset.id, latest.id);
  const isReady = latest.status === "ready";
  const versionId = isReady ? latest.id : (draft.draft.data?.version_id ?? null);
  const can = useCan();
  if (latest.status === "validating" && (latest.parent_id === null || versionId === null)) {
    return <Making version={latest} />;
  }
  if (versionId === null) {
    return (
      <Notice tone="bad" title="There are no examples to look at">
        {latest.error?.message ?? "The file could not be read."}
      </Notice>
    );
  }
  return (
    <>
      {latest.status === "validating" && <Making version={latest} />}
      {latest.status === "failed" && (
        <Notice tone="bad" title={`Version ${latest.number} could not be made`}>
          {latest.error?.message} These are the examples as they were before.
        </Notice>
      )}
      <Examples
        key={versionId}
        dataset={dataset}
        versionId={versionId}
        canChange={can("datasets:write") && latest.status !== "validating"}
      />
    </>
  );
}

/** What is told elsewhere of the same version, and why there are more lines than that; without one, the lines. */
function totalWords(version: DatasetVersion | null, wanted: RowsWanted, total: number | null): string {
  if (total === null) return wanted.q ? "Examples with these words" : "";
  if (isNarrowed(wanted)) return `${plural(total, "example")} like that`;
  if (version === null) return plural(total, "example");
  const used = plural(version.num_rows, "example");
  const leftOut = leftOutWords(version);
  return leftOut ? `${used}. ${leftOut}.` : used;
}

interface ExamplesProps {
  dataset: Dataset;
  versionId: string;
  canChange: boolean;
}

function Examples({ dataset, versionId, canChange }: ExamplesProps) {
  const { row: open, ...search } = route.useSearch();
  const wanted: RowsWanted = search;
  const navigate = route.useNavigate();
  const draft = useDraft(dataset.id, versionId);
  const all = useAllNumbers(versionId, wanted);
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const [total, setTotal] = useState<number | null>(null);
  const table = useRef<TableHandle>(null);
  const searchBox = useRef<HTMLInputElement>(null);
  const isPhone = useMediaQuery("(max-width: 60rem)", false, { getInitialValueInEffect: false });
  const version = dataset.latest_version;

  const go = (part: RowsWanted, row: number | undefined) =>
    void navigate({
      search: { ...tidy(part), ...(row === undefined ? {} : { row }) },
      replace: true,
      resetScroll: false,
    });
  const show = (part: RowsWanted) => {
    setChosen(new Set());
    go(part, undefined);
  };
  const openRow = (row: Row | null) => {
    go(wanted, row?.number);
    if (row === null) table.current?.focus();
  };
  const choose = (rows: Row[], isChosen: boolean) => {
    const next = new Set(chosen);
    for (const { number } of rows) {
      if (!isChosen) next.delete(number);
      else if (next.size < MAX_CHOSEN) next.add(number);
    }
    setChosen(next);
  };
  const chooseAll = () =>
    all.mutate(undefined, {
      onError: tellFailure,
      onSuccess: ({ numbers, has_more }) => {
        setChosen(new Set(numbers));
        if (has_more)
          tell(`The first ${plural(numbers.length, "example")} are chosen: more cannot be at once.`);
      },
    });
  const change = (made: RowChange) =>
    draft.change.mutate({ change: made }, { onSuccess: () => setChosen(new Set()), onError: tellFailure });
  const goTo = (number: number) =>
    fetchPlace(versionId, wanted, number).then(({ place }) => {
      table.current?.goTo(place);
      table.current?.focus();
    }, tellFailure);
  const undo = () => {
    if (draft.draft.data?.changes.length) draft.undo.mutate(undefined, { onError: tellFailure });
  };
  const panel = open !== undefined && (
    <RowPanel
      key={open}
      datasetId={dataset.id}
      versionId={versionId}
      number={open}
      draft={draft}
      canChange={canChange}
      onClose={() => openRow(null)}
    />
  );
  return (
    <div className={classes.work}>
      <RowsToolbar
        versionId={versionId}
        version={version}
        wanted={wanted}
        searchRef={searchBox}
        onChange={show}
        onGoTo={(number) => void goTo(number)}
        onLeave={() => table.current?.focus()}
      />
      <p className={classes.total} role="status">
        {totalWords(version.id === versionId ? version : null, wanted, total)}
      </p>
      <DraftBar
        draft={draft}
        findings={version.health.findings}
        canChange={canChange}
        onSaved={() => tell("Your changes are being made into a new version.")}
      />
      {canChange && (
        <SelectionBar
          numbers={[...chosen]}
          total={total}
          isBusy={all.isPending || draft.change.isPending}
          onChange={change}
          onChooseAll={chooseAll}
          onClear={() => setChosen(new Set())}
        />
      )}
      <div className={classes.columns} data-open={(panel && !isPhone) || undefined}>
        <RowsTable
          key={JSON.stringify(wanted)}
          versionId={versionId}
          wanted={wanted}
          openNumber={open ?? null}
          chosen={chosen}
          canChange={canChange}
          handle={table}
          onOpen={openRow}
          onChoose={choose}
          onOrder={(order) => show({ ...wanted, order })}
          onUndo={undo}
          onSearch={() => searchBox.current?.focus()}
          onShowAll={() => show({})}
          onTotal={setTotal}
        />
        {panel && !isPhone && panel}
      </div>
      {isPhone && (
        <Drawer
          opened={Boolean(panel)}
          onClose={() => openRow(null)}
          position="bottom"
          size="90%"
          withCloseButton={false}
          title={undefined}
          aria-label="Example"
          padding={0}
        >
          {panel}
        </Drawer>
      )}
    </div>
  );
}
