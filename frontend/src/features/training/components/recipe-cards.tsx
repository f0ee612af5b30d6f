import type { Estimate, EstimateReply, Recipe } from "@/api/types";
import { isRecipe, RECIPES } from "@/features/training/components/wording";
import { duration, durationRange, moneyRange } from "@/lib/format";
import classes from "./recipe-cards.module.css";

interface RecipeCardsProps {
  reply: EstimateReply;
  chosen: Recipe;
  onChoose: (recipe: Recipe) => void;
}

export function RecipeCards({ reply, chosen, onChoose }: RecipeCardsProps) {
  const waits = reply.queue.starts_in_s ?? 0;
  const estimates = reply.estimates.flatMap((one) =>
    isRecipe(one.recipe) ? [{ ...one, recipe: one.recipe }] : [],
  );
  const starts = waits < 5 ? "Starts now" : `Starts in about ${duration(waits)}`;
  return (
    <>
      <div className={classes.cards} role="radiogroup" aria-label="How thoroughly">
        {estimates.map((estimate) => (
          <label key={estimate.recipe} className={classes.card}>
            <input
              type="radio"
              name="recipe"
              value={estimate.recipe}
              checked={chosen === estimate.recipe}
              onChange={() => onChoose(estimate.recipe)}
            />
            <span className={classes.title}>
              {RECIPES[estimate.recipe].title}
              {estimate.is_recommended && <small>Suggested</small>}
            </span>
            <span className={classes.time}>{durationRange(estimate.seconds_low, estimate.seconds_high)}</span>
            <span>{moneyRange(estimate.cost_usd_low, estimate.cost_usd_high)}</span>
            <span className={classes.note}>
              {RECIPES[estimate.recipe].sentence}
              {isNoQuicker(estimate, estimates) &&
                " No quicker with what you set: Balanced may stop early, this one does not."}
            </span>
            <span className={classes.note}>{starts}</span>
          </label>
        ))}
      </div>
      {reply.refusals.map(({ recipe }) => (
        <p key={recipe} className={classes.refused}>
          {isRecipe(recipe) ? RECIPES[recipe].title : recipe} needs more memory than the machines here have.
        </p>
      ))}
    </>
  );
}

/** With as many passes set for all of them, Fast has nothing left to save. */
function isNoQuicker(estimate: Estimate, others: Estimate[]): boolean {
  const balanced = others.find((other) => other.recipe === "balanced");
  return estimate.recipe === "fast" && balanced !== undefined && estimate.seconds_low > balanced.seconds_low;
}
