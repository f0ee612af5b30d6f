import { useQuery } from "@tanstack/react-query";
import type { Model } from "@/api/types";
import { modelName, modelsQuery } from "@/features/models/queries";

/** What the base of a model is called where people read it; its id while that is not known. */
export function BaseName({ of }: { of: Pick<Model, "base_model"> }) {
  const bases = useQuery(modelsQuery).data;
  return <>{modelName(bases?.find((model) => model.id === of.base_model) ?? of.base_model)}</>;
}
