import type { Release } from "@/features/aliases/queries";
import { modelName } from "@/features/models/queries";

/** Who answers, in a few words. */
export function answersWith(release: Release): string {
  const arms = release.arms.map((arm) => {
    const prompt = arm.profile === null ? "" : `, prompt ${arm.profile}`;
    const share = release.arms.length > 1 ? `${arm.percent} % ` : "";
    return `${share}${modelName(arm.model)}${prompt}`;
  });
  const shadow = release.shadow ? `; silently also ${modelName(release.shadow.model)}` : "";
  return arms.join(", ") + shadow;
}
