import type { Model } from "@/api/types";
import { modelName } from "@/features/models/queries";
import type { Answer, Contestant } from "@/features/playground/rounds";

/** Who it was, with what it was told, so that two prompts of one model can be told apart. */
export function contestantName(contestant: Contestant, answer: Answer | undefined, models: Model[]): string {
  const known = models.find((model) => model.id === contestant.model);
  const name = modelName(known ?? contestant.model);
  const served = answer?.servedBy ? ` (by ${modelName(answer.servedBy.model)})` : "";
  const { profile, prompt } = contestant;
  const told = profile
    ? `, prompt ${profile.alias} ${profile.version}`
    : prompt
      ? `, told “${prompt.length > 24 ? `${prompt.slice(0, 24)}…` : prompt}”`
      : "";
  return `${name}${served}${told}`;
}
