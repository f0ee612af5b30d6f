import { SegmentedControl } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ModelTraffic } from "@/api/types";
import { DayBars } from "@/components/charts/day-bars";
import { Facts } from "@/components/ui/facts";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, QueryView } from "@/components/ui/states";
import { Tip } from "@/components/ui/tip";
import { compact, count, latency, plural } from "@/lib/format";

const SPANS = [
  { value: "7", label: "7 days" },
  { value: "30", label: "30 days" },
];

interface TrafficSectionProps {
  traffic: UseQueryResult<ModelTraffic>;
  days: number;
  onDays: (days: number) => void;
}

/** How much a model, or a stable name, is asked, how fast it answers, and what goes wrong. */
export function TrafficSection({ traffic, days, onDays }: TrafficSectionProps) {
  return (
    <Section
      title="How it is used"
      lead="What your workspace asked of it, and how soon it answered."
      actions={
        <SegmentedControl
          size="xs"
          aria-label="How far back"
          data={SPANS}
          value={String(days)}
          onChange={(value) => onDays(Number(value))}
        />
      }
    >
      <QueryView query={traffic} what="how it is used" skeleton={<SkeletonLines count={4} height={44} />}>
        {(data) => (data.num_requests === 0 ? <Nobody days={days} /> : <Told traffic={data} />)}
      </QueryView>
    </Section>
  );
}

function Nobody({ days }: { days: number }) {
  return (
    <Empty title={days === 7 ? "Nobody has asked it this week" : "Nobody has asked it yet"}>
      {days === 7
        ? "Look at the last 30 days, or ask it something: how many questions it gets, and how soon it answers, will stand here."
        : "As soon as somebody does, how many questions it gets, and how soon it answers, will stand here."}
    </Empty>
  );
}

function Told({ traffic }: { traffic: ModelTraffic }) {
  const days = traffic.by_day.map((day) => ({
    date: day.date,
    value: day.prompt_tokens + day.completion_tokens,
    note: plural(day.num_requests, "question"),
  }));
  return (
    <>
      <Facts
        facts={[
          { label: "Questions", value: count(traffic.num_requests), note: endings(traffic) },
          latencyFact(
            "First words",
            "From the question to the first words of its answer.",
            traffic.first_token,
          ),
          latencyFact("Whole answer", "From the question to the end of its answer.", traffic.whole_answer),
          {
            label: (
              <Tip label="Pieces of words: models read and write them, and are paid by them.">Tokens</Tip>
            ),
            value: compact(traffic.prompt_tokens + traffic.completion_tokens),
            note: `${compact(traffic.prompt_tokens)} read, ${compact(traffic.completion_tokens)} written`,
          },
        ]}
      />
      <DayBars
        title="Tokens a day"
        days={days}
        show={(value) => plural(value, "token")}
        minDays={days.length}
      />
      {traffic.errors.length > 0 && <WentWrong traffic={traffic} />}
    </>
  );
}

function endings({ num_failed, num_cancelled }: ModelTraffic): string {
  const parts = [
    num_failed > 0 && `${count(num_failed)} got no answer`,
    num_cancelled > 0 && `${count(num_cancelled)} left before its end`,
  ];
  return parts.filter(Boolean).join(", ") || "all were answered";
}

function latencyFact(label: string, about: string, found: ModelTraffic["first_token"]) {
  return {
    label: (
      <Tip
        label={`${about} Half of all are as fast as the large figure (p50), 19 of 20 as the small one (p95).`}
      >
        {label}
      </Tip>
    ),
    value: found ? latency(found.p50_ms) : "–",
    note: found ? `19 of 20 within ${latency(found.p95_ms)}` : "none yet",
  };
}

function WentWrong({ traffic }: { traffic: ModelTraffic }) {
  return (
    <p>
      What went wrong:{" "}
      {traffic.errors.map((one, index) => (
        <span key={one.code}>
          {index > 0 && ", "}
          <code>{one.code}</code> {plural(one.num_requests, "time")}
        </span>
      ))}
      .
    </p>
  );
}
