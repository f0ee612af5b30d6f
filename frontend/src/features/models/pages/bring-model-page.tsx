import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import type { Model } from "@/api/types";
import { Page } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { BringForm } from "@/features/models/components/bring-form";
import { Bringing } from "@/features/models/components/bringing";
import { importQuery } from "@/features/models/import-queries";
import { modelsQuery } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";

const route = getRouteApi("/app/models/bring");

/** Its address says which one is on its way, so that a refresh finds it again. */
export function BringModelPage() {
  const { id } = route.useSearch();
  const can = useCan();
  return (
    <Page
      title="Bring a model made elsewhere"
      above={<Link to="/models">Models</Link>}
      lead="Trained on your own machine, or with another service? Bring its small files. They are checked, number by number, before it answers anybody."
      width="reading"
    >
      {id ? <Found key={id} id={id} /> : can("runs:write") ? <New /> : <Forbidden what="this form" />}
    </Page>
  );
}

function Found({ id }: { id: string }) {
  const found = useQuery(importQuery(id));
  return (
    <QueryView query={found} what="this model" skeleton={<SkeletonLines count={3} height={40} />}>
      {(loaded) => <Bringing found={loaded} />}
    </QueryView>
  );
}

function New() {
  const models = useQuery(modelsQuery);
  const navigate = useNavigate();
  return (
    <QueryView query={models} what="the base models" skeleton={<SkeletonLines count={4} height={56} />}>
      {(list) =>
        list.some(isBase) ? (
          <BringForm
            bases={list.filter(isBase)}
            onBegun={(id) => void navigate({ to: "/models/bring", search: { id } })}
          />
        ) : (
          <Empty title="There is no base model on this machine">
            A model made elsewhere stands on a base model, and none is here yet. Whoever runs this
            installation can add one.
          </Empty>
        )
      }
    </QueryView>
  );
}

function isBase(model: Model): boolean {
  return model.kind === "base" && model.is_ready;
}
