import { Link } from "@tanstack/react-router";
import type { Model } from "@/api/types";
import { Facts } from "@/components/ui/facts";
import { Section } from "@/components/ui/page";
import { Tip } from "@/components/ui/tip";
import { dayOf, plural } from "@/lib/format";

/** Where a model comes from that was made elsewhere, as far as that is known. */
export function Brought({ model, from }: { model: Model; from: NonNullable<Model["imported"]> }) {
  return (
    <Section
      title="Where it comes from"
      lead={`Brought by ${from.by} on ${dayOf(from.at)}. It was made elsewhere.`}
    >
      <Facts
        facts={[
          {
            label: "Learned from",
            value: "not known",
            note: "ask whoever made it, before you give it to others",
          },
          {
            label: "Base model",
            value: (
              <Link to="/models/$modelId" params={{ modelId: model.base_model }}>
                {model.base_model}
              </Link>
            ),
            note:
              from.base_evidence === "manifest"
                ? "proved by the package it came in"
                : `said by ${from.by}; its shapes fit`,
          },
          {
            label: (
              <Tip label={`sha256 of the weights as they were brought: ${from.weights_sha256}`}>Made of</Tip>
            ),
            value: plural(from.filenames.length, "file"),
            note: from.filenames.join(", "),
          },
        ]}
      />
    </Section>
  );
}
