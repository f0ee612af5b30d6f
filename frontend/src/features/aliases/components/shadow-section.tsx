import { useQuery } from "@tanstack/react-query";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { TimeAgo } from "@/components/ui/time-ago";
import classes from "@/features/aliases/components/aliases.module.css";
import { shadowAnswersQuery } from "@/features/aliases/queries";
import { modelName } from "@/features/models/queries";

/** What was said silently, beside what was sent. */
export function ShadowSection({ name }: { name: string }) {
  const answers = useQuery(shadowAnswersQuery(name));
  return (
    <Section
      title="Silent answers"
      lead="What the model on trial would have said: the newest twenty, beside what was sent."
    >
      <QueryView query={answers} what="these answers" skeleton={<SkeletonLines count={2} height={60} />}>
        {(list) =>
          list.length === 0 ? (
            <p>None yet: they come with the next questions.</p>
          ) : (
            list.map((answer) => (
              <article key={answer.id}>
                <p>
                  <strong>{answer.question}</strong> <TimeAgo at={answer.created_at} />
                </p>
                <div className={classes.pair}>
                  <div>
                    <small>Sent, by {modelName(answer.shown_model)}</small>
                    <p>{answer.shown_text}</p>
                  </div>
                  <div>
                    <small>Silently, by {modelName(answer.model)}</small>
                    <p>{answer.text ?? `No answer: ${answer.problem ?? ""}`}</p>
                  </div>
                </div>
              </article>
            ))
          )
        }
      </QueryView>
    </Section>
  );
}
