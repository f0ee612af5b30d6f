import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { LedgerEntry, Price, Storage } from "@/api/types";
import { DayBars, wholeMonth } from "@/components/charts/day-bars";
import { Facts } from "@/components/ui/facts";
import { Notice } from "@/components/ui/notice";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { TimeAgo } from "@/components/ui/time-ago";
import { useCan } from "@/features/session/queries";
import { pricesQuery, storageQuery, usageEntriesQuery, usageSummaryQuery } from "@/features/usage/queries";
import { bytes, count, duration, exactTime, money, percent } from "@/lib/format";

const ENTRIES: TableColumn<LedgerEntry>[] = [
  {
    key: "when",
    title: "When",
    sortBy: (entry) => entry.created_at,
    cell: (entry) => <TimeAgo at={entry.created_at} />,
  },
  {
    key: "what",
    title: "What",
    sortBy: (entry) => entry.kind,
    cell: (entry) =>
      entry.kind === "training" ? (
        <Link to="/train/$runId" params={{ runId: entry.source_id }}>
          Training
        </Link>
      ) : (
        "Answers"
      ),
  },
  {
    key: "time",
    title: "Time",
    align: "end",
    sortBy: (entry) => entry.seconds,
    cell: (entry) => duration(entry.seconds),
  },
  {
    key: "tokens",
    title: "Tokens",
    align: "end",
    isSecondary: true,
    sortBy: (entry) => entry.tokens,
    cell: (entry) => count(entry.tokens),
  },
  {
    key: "cost",
    title: "Cost",
    align: "end",
    sortBy: (entry) => entry.usd,
    cell: (entry) => money(entry.usd),
  },
];

const PRICES: TableColumn<Price>[] = [
  { key: "hardware", title: "Hardware", cell: (price) => price.hardware.replace(":", ", ").toUpperCase() },
  { key: "price", title: "Price", align: "end", cell: (price) => `${money(price.usd_per_hour)} an hour` },
  {
    key: "since",
    title: "Since",
    isSecondary: true,
    align: "end",
    cell: (price) => exactTime(price.valid_from),
  },
  { key: "source", title: "Where the price is from", cell: (price) => price.source },
];

export function UsagePage() {
  const can = useCan();
  return (
    <Page title="Usage" lead="What this workspace spends, and on what. You pay by the second.">
      {can("usage:read") ? <Content /> : <Forbidden what="the spending" />}
    </Page>
  );
}

function Content() {
  const summary = useQuery(usageSummaryQuery);
  const entries = useQuery(usageEntriesQuery);
  const storage = useQuery(storageQuery);
  const prices = useQuery(pricesQuery);
  return (
    <>
      <QueryView query={summary} what="the spending" skeleton={<SkeletonLines count={4} height={44} />}>
        {(data) => (
          <Section title="This month">
            <Facts
              facts={[
                { label: "Together", value: money(data.total_usd) },
                { label: "Training", value: money(data.training_usd) },
                { label: "Answers", value: money(data.inference_usd) },
                { label: "Packing models", value: money(data.export_usd) },
                { label: "Tokens", value: count(data.tokens) },
              ]}
            />
            {data.by_day.length > 0 && (
              <DayBars
                title="Dollars a day"
                days={wholeMonth(data.by_day.map((day) => ({ date: day.date, value: day.usd })))}
                show={money}
              />
            )}
          </Section>
        )}
      </QueryView>
      <QueryView query={storage} what="the room for files" skeleton={<SkeletonLines count={1} height={44} />}>
        {(data) => <Room storage={data} />}
      </QueryView>
      <QueryView query={entries} what="the charges" skeleton={<SkeletonLines count={4} height={36} />}>
        {(list) =>
          list.data.length === 0 ? (
            <Empty title="Nothing spent yet">
              Every training run and every answer is written down here, with its time and cost.
            </Empty>
          ) : (
            <Section title="Charges" lead={list.has_more ? "The latest 50." : undefined}>
              <Table label="Charges" columns={ENTRIES} items={list.data} rowKey={(entry) => entry.id} />
            </Section>
          )
        }
      </QueryView>
      <QueryView query={prices} what="the prices" skeleton={<SkeletonLines count={2} height={36} />}>
        {(list) => (
          <Section title="Prices">
            <Table label="Prices" columns={PRICES} items={list.data} rowKey={(price) => price.id} />
          </Section>
        )}
      </QueryView>
    </>
  );
}

const NEARLY_FULL = 0.9;

function Room({ storage: { num_bytes: taken, max_bytes: most } }: { storage: Storage }) {
  const isNearlyFull = most !== null && taken >= NEARLY_FULL * most;
  return (
    <Section title="Room for files">
      <Facts
        facts={[
          {
            label: "Your files take",
            value: bytes(taken),
            note: most === null ? undefined : `${percent(taken / most)} of ${bytes(most)}`,
          },
        ]}
      />
      {isNearlyFull && (
        <Notice tone="warn" title={taken < most ? "There is little room left" : "There is no room left"}>
          A file that does not fit is refused. Ask whoever runs this installation for more room.
        </Notice>
      )}
    </Section>
  );
}
