import { useQuery } from "@tanstack/react-query";
import type { Duel, Voice } from "@/api/types";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { Table, type TableColumn } from "@/components/ui/table";
import { useVoiceName } from "@/features/playground/components/use-voice-name";
import { winsQuery } from "@/features/playground/preference-queries";
import { percent, plural } from "@/lib/format";

const LEAD =
  "Only votes of people who did not know which was which. The range tells how often the first would win; it is right 19 times of 20. Below ten votes for one or the other nothing can be said.";

/** Of every two that were compared: who won how often, and how sure that is. */
export function Wins() {
  const wins = useQuery(winsQuery);
  const voiceName = useVoiceName();
  return (
    <Section title="Who wins" lead={LEAD}>
      <QueryView query={wins} what="who wins" skeleton={<SkeletonLines count={3} height={36} />}>
        {(duels) =>
          duels.length === 0 ? (
            <p>No vote was cast blind yet.</p>
          ) : (
            <Table
              label="Who wins"
              columns={columns(voiceName)}
              items={duels}
              rowKey={(duel) => JSON.stringify([duel.first, duel.second])}
            />
          )
        }
      </QueryView>
    </Section>
  );
}

function columns(voiceName: (voice: Voice) => string): TableColumn<Duel>[] {
  return [
    {
      key: "who",
      title: "Compared",
      cell: (duel) => `${voiceName(duel.first)} and ${voiceName(duel.second)}`,
    },
    { key: "lead", title: "Better", cell: (duel) => leadOf(duel, voiceName) },
    {
      key: "won",
      title: "Won",
      align: "end",
      cell: (duel) => `${duel.num_first}\u00a0:\u00a0${duel.num_second}`,
    },
    {
      key: "share",
      title: "The first wins",
      align: "end",
      isSecondary: true,
      cell: (duel) =>
        duel.low === null || duel.high === null ? "" : `${percent(duel.low)} to ${percent(duel.high)}`,
    },
    {
      key: "others",
      title: "Equal, bad",
      align: "end",
      isSecondary: true,
      cell: (duel) => `${duel.num_equal}, ${duel.num_bad}`,
    },
  ];
}

function leadOf(duel: Duel, voiceName: (voice: Voice) => string): string {
  if (duel.lead === "too_few") return `Too few to say (${plural(duel.num_first + duel.num_second, "vote")})`;
  if (duel.lead === "undecided") return "Cannot be told apart";
  return voiceName(duel.lead === "first" ? duel.first : duel.second);
}
