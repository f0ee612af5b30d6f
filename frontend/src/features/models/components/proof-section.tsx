import { Button } from "@mantine/core";
import type { Model } from "@/api/types";
import { Facts } from "@/components/ui/facts";
import { Notice } from "@/components/ui/notice";
import { tellFailure } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { Tip } from "@/components/ui/tip";
import { useProveModel } from "@/features/models/queries";
import { useCan } from "@/features/session/queries";
import classes from "./proof-section.module.css";

/** Whether a model answers here as it was trained, in words and with the numbers. */
export function ProofSection({ model }: { model: Model }) {
  const { proof, proof_status: status } = model;
  const words = model.imported ? BROUGHT : TRAINED;
  if (status === null || model.method === "full") return null;
  return (
    <Section title="Checked before its first answer" lead={words.lead}>
      {status === "failed" && (
        <Notice tone="bad" title="This model is not put to use" action={<CheckAgain model={model} />}>
          {proof?.reason}
        </Notice>
      )}
      {status === "pending" && (
        <Notice tone="quiet" title="Not checked yet" action={<CheckAgain model={model} />}>
          {words.pending} It is made before the first answer; that one takes a few seconds longer.
        </Notice>
      )}
      {status === "none" && (
        <Notice tone="quiet" title="This model was not checked">
          It was made before such checks were, so nobody wrote down what to compare with. Train it again to
          have it checked.
        </Notice>
      )}
      {status === "passed" && <p>It passed: it answers here as it should.</p>}
      {proof?.max_difference != null && (
        <details className={classes.numbers}>
          <summary>The numbers of the check</summary>
          <Facts
            facts={[
              {
                label: (
                  <Tip
                    label={`Before each word the model gives every word it knows a score. ${words.scores}`}
                  >
                    {words.difference}
                  </Tip>
                ),
                ...difference(proof),
              },
              {
                label: "Difference from the base model",
                value: proof.effect === null ? "\u2014" : small(proof.effect),
                note: words.effect,
              },
              {
                label: "Compared",
                value: `${proof.num_rows} ${model.imported ? "questions" : "examples"}`,
                note: `at ${proof.num_places} places`,
              },
            ]}
          />
        </details>
      )}
    </Section>
  );
}

const TRAINED = {
  lead: "A model must answer here exactly as it did while it was trained, or it answers nobody.",
  pending: "The check could not be made when the training was done.",
  scores: "These are the scores here, beside those of the training.",
  difference: "Difference from the training",
  effect: "more means that the training changed more",
};

/** Nobody here saw it trained: what it is compared with is the program that everybody loads such files with. */
const BROUGHT = {
  lead: "A model must answer here exactly as the usual program for such files, PEFT, has it answer, or it answers nobody.",
  pending: "The check could not be made when the model was brought.",
  scores: "These are the scores here, beside those that PEFT computes from the same files.",
  difference: "Difference from PEFT",
  effect: "more means that its training changed more",
};

/** By what the base's own rounding explains, where that is known; else by the one bound for all. */
function difference(proof: NonNullable<Model["proof"]>) {
  const { typical_difference: typical, typical_tolerance: allowed, max_difference: largest } = proof;
  if (typical != null && allowed != null)
    return { value: small(typical), note: `as a rule; rounding explains up to ${small(allowed)}` };
  return { value: small(largest ?? 0), note: `at most ${proof.tolerance} is allowed` };
}

function CheckAgain({ model }: { model: Model }) {
  const prove = useProveModel();
  const can = useCan();
  if (!can("models:write")) return null;
  return (
    <Button
      size="xs"
      variant="default"
      loading={prove.isPending}
      onClick={() => prove.mutate(model.id, { onError: tellFailure })}
    >
      Check now
    </Button>
  );
}

function small(value: number): string {
  return value === 0 ? "none" : value.toPrecision(2);
}
