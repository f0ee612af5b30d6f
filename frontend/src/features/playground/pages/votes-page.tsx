import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Preference, Voice } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { Confirm } from "@/components/ui/confirm";
import { tell, tellFailure } from "@/components/ui/notices";
import { Page, Section } from "@/components/ui/page";
import { Paging } from "@/components/ui/paging";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { TimeAgo } from "@/components/ui/time-ago";
import { useVoiceName } from "@/features/playground/components/use-voice-name";
import { Wins } from "@/features/playground/components/wins";
import { useDeleteVote, useMakeExamples, votesQuery } from "@/features/playground/preference-queries";
import { LETTERS } from "@/features/playground/rounds";
import { useCan } from "@/features/session/queries";
import { newKey } from "@/lib/new-key";
import classes from "./votes-page.module.css";

const route = getRouteApi("/app/playground/votes");

export function VotesPage() {
  const can = useCan();
  return (
    <Page
      title="Votes"
      above={<Link to="/playground">Playground</Link>}
      lead="What people preferred in the playground: who wins, and examples for a model to learn from."
      actions={can("chat:use") && can("datasets:write") && <MakeExamples />}
    >
      {can("chat:use") ? <Content /> : <Forbidden what="votes" />}
    </Page>
  );
}

function MakeExamples() {
  const make = useMakeExamples();
  const navigate = useNavigate();
  const [key, setKey] = useState(newKey);
  return (
    <Button
      loading={make.isPending}
      onClick={() =>
        make.mutate(key, {
          onError: tellFailure,
          onSuccess: (made) => {
            setKey(newKey());
            void navigate({ to: "/data/$datasetId", params: { datasetId: made.id } });
          },
        })
      }
    >
      Make examples of them
    </Button>
  );
}

function Content() {
  const { after } = route.useSearch();
  const votes = useQuery(votesQuery(after));
  return (
    <QueryView query={votes} what="the votes" skeleton={<SkeletonLines count={8} height={36} />}>
      {(list) =>
        list.data.length === 0 && !after ? (
          <Empty title="No votes yet" action={<ButtonLink to="/playground">Open the playground</ButtonLink>}>
            Ask two models the same question and say which answer is better, best without knowing which is
            which.
          </Empty>
        ) : (
          <>
            <Wins />
            <Section title="All votes" lead="The newest first.">
              <ul className={classes.votes}>
                {list.data.map((vote) => (
                  <VoteItem key={vote.id} vote={vote} />
                ))}
              </ul>
              <Paging
                newest={
                  after && (
                    <Link to="/playground/votes" search={{}}>
                      Back to the newest
                    </Link>
                  )
                }
                older={
                  list.has_more &&
                  list.last_id && (
                    <ButtonLink
                      size="xs"
                      variant="default"
                      to="/playground/votes"
                      search={{ after: list.last_id }}
                    >
                      Older votes
                    </ButtonLink>
                  )
                }
              />
            </Section>
          </>
        )
      }
    </QueryView>
  );
}

function VoteItem({ vote }: { vote: Preference }) {
  const can = useCan();
  const voiceName = useVoiceName();
  const asked = vote.messages.findLast((message) => message.role === "user")?.content;
  const question = typeof asked === "string" ? asked : "No question";
  return (
    <li>
      <details className={classes.vote}>
        <summary>
          <span className={classes.words}>
            {vote.is_erased ? "Its words were removed with those of a person." : question}
          </span>
          <span className={classes.about}>
            {verdictOf(vote, voiceName)} · {vote.is_blind ? "blind" : "seen"} ·{" "}
            {vote.created_by_name ?? "a program"} · <TimeAgo at={vote.created_at} />
          </span>
        </summary>
        <ol className={classes.answers}>
          {vote.answers.map((answer, at) => (
            <li key={at} data-best={vote.best === at || undefined}>
              <strong>
                {LETTERS[at]} · {voiceName(answer.voice)}
              </strong>
              <p>{vote.is_erased ? "" : answer.content}</p>
            </li>
          ))}
        </ol>
        {can("datasets:write") && <DeleteVote id={vote.id} />}
      </details>
    </li>
  );
}

function verdictOf(vote: Preference, voiceName: (voice: Voice) => string): string {
  if (vote.verdict === "all_equal") return "All equal";
  if (vote.verdict === "all_bad") return "All bad";
  const best = vote.answers[vote.best ?? 0];
  return best ? `Preferred ${voiceName(best.voice)}` : "";
}

function DeleteVote({ id }: { id: string }) {
  const remove = useDeleteVote();
  const [isAsking, setAsking] = useState(false);
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setAsking(true)}>
        Delete this vote
      </Button>
      <Confirm
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title="Delete this vote?"
        action="Delete it for good"
        isBusy={remove.isPending}
        onConfirm={() =>
          remove.mutate(id, {
            onError: tellFailure,
            onSuccess: () => tell("The vote was deleted."),
            onSettled: () => setAsking(false),
          })
        }
      >
        It counts no more, and its question and answers go with it. Examples that were made of it stay.
      </Confirm>
    </>
  );
}
