import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { tellFailure } from "@/components/ui/notices";
import { OfferList } from "@/components/ui/offer-list";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { samplesQuery, useTrySample } from "@/features/datasets/queries";
import { plural } from "@/lib/format";

/** Shipped examples for those who want to see it work before bringing their own. */
export function SampleList() {
  const samples = useQuery(samplesQuery);
  const navigate = useNavigate();
  const trySample = useTrySample();
  const take = (id: string) =>
    trySample.mutate(id, {
      onSuccess: (file) => void navigate({ to: "/data/new", search: { file: file.id } }),
      onError: tellFailure,
    });
  return (
    <QueryView query={samples} what="the sample data" skeleton={<SkeletonLines count={2} height={64} />}>
      {(list) => (
        <OfferList
          action="Try it"
          busyId={trySample.isPending ? trySample.variables : null}
          onTake={take}
          offers={list.data.map((sample) => ({
            id: sample.id,
            title: sample.name,
            text: sample.description,
            note: `${plural(sample.num_rows, "example")} · ${sample.license}`,
          }))}
        />
      )}
    </QueryView>
  );
}
