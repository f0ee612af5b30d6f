import { useQuery } from "@tanstack/react-query";
import type { Voice } from "@/api/types";
import { modelName, modelsQuery } from "@/features/models/queries";

/** What a model with its prompt is called, by the names that models have now. */
export function useVoiceName(): (voice: Voice) => string {
  const models = useQuery(modelsQuery).data ?? [];
  return (voice) => {
    const name = modelName(models.find((model) => model.id === voice.model) ?? voice.model);
    if (voice.alias) return `${name} with prompt ${voice.alias} ${voice.profile}`;
    return voice.prompt ? `${name} with prompt ${voice.prompt.slice(0, 4)}` : name;
  };
}
