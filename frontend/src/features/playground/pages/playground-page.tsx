import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useCallback, useRef } from "react";
import type { Model } from "@/api/types";
import { ButtonLink } from "@/components/ui/button-link";
import { tellFailure } from "@/components/ui/notices";
import { Page } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { modelsQuery } from "@/features/models/queries";
import { Composer } from "@/features/playground/components/composer";
import { Contestants, newContestant } from "@/features/playground/components/contestants";
import { KeepAnswers } from "@/features/playground/components/keep-answers";
import { RoundView } from "@/features/playground/components/round-view";
import { SamplingSettings } from "@/features/playground/components/sampling-settings";
import { SampleQuestions } from "@/features/playground/components/sample-questions";
import { useRounds } from "@/features/playground/components/use-rounds";
import { useVote } from "@/features/playground/preference-queries";
import { type Contestant, NO_SETTINGS, type Round, type Vote, voteBody } from "@/features/playground/rounds";
import { useCan, useSession } from "@/features/session/queries";
import { useDraft } from "@/lib/use-draft";
import classes from "./playground-page.module.css";

const route = getRouteApi("/app/playground");
const PLACES = ["left", "right", "third", "fourth"] as const;

export function PlaygroundPage() {
  const can = useCan();
  const models = useQuery(modelsQuery);
  return (
    <Page
      title="Playground"
      lead="One question to several models, side by side."
      width="full"
      actions={
        can("chat:use") && (
          <>
            <ButtonLink variant="default" to="/playground/votes">
              Votes
            </ButtonLink>
            <ButtonLink variant="default" to="/playground/kept">
              Kept answers
            </ButtonLink>
          </>
        )
      }
    >
      {!can("chat:use") ? (
        <Forbidden what="the playground" />
      ) : (
        <QueryView query={models} what="the models" skeleton={<SkeletonLines count={4} height={44} />}>
          {(list) => <Room models={list.filter((model) => model.is_ready)} />}
        </QueryView>
      )}
    </Page>
  );
}

function Room({ models }: { models: Model[] }) {
  const { workspace, user } = useSession();
  // who signs in next at the same browser does not read what was asked here
  const owner = `${workspace.id}:${user.id}`;
  const { draft, change } = useDraft(`playground:${owner}`, () => ({
    settings: NO_SETTINGS,
    contestants: [] as Contestant[],
    isBlind: false,
    isKept: false,
  }));
  const [contestants, setContestants] = useContestants(models, draft.contestants, (chosen) =>
    change({ contestants: chosen }),
  );
  const talk = useRounds(owner);
  const input = useRef<HTMLTextAreaElement>(null);
  const { vote, isVoting } = useVoting(talk.rounds, talk.keepVote, () => input.current?.focus());
  if (models.length === 0) {
    return (
      <Empty title="No model is ready yet">
        The base model is prepared once, after the first start. It appears here in a few minutes.
      </Empty>
    );
  }
  const { settings, isKept } = draft;
  const isBlind = draft.isBlind && contestants.length > 1;
  const ask = (question: string) => talk.ask({ question, contestants, settings, isBlind, isKept });
  const tuned = models.find((one) => contestants.some(({ model }) => model === one.id) && one.run_id);
  return (
    <div className={classes.room}>
      <Contestants
        models={models}
        contestants={contestants}
        onChange={setContestants}
        isBlind={isBlind}
        onBlind={(blind) => change({ isBlind: blind })}
        isBusy={talk.isBusy}
      />
      <ol className={classes.rounds}>
        {talk.rounds.map((round) => (
          <RoundView
            key={round.id}
            round={round}
            rounds={talk.rounds}
            models={models}
            isVoting={isVoting}
            onVote={(given) => vote(round, given)}
            onAskAgain={(place) => talk.askAgain(round, place)}
          />
        ))}
      </ol>
      <div className={classes.below}>
        {talk.rounds.length === 0 && <SampleQuestions runId={tuned?.run_id ?? null} onAsk={ask} />}
        <Composer
          owner={owner}
          onAsk={ask}
          isAnswering={talk.isBusy}
          isDisabled={contestants.some((one) => one.model === "")}
          onStop={talk.stop}
          numAsked={contestants.length}
          input={input}
        />
        <SamplingSettings settings={settings} onChange={(changed) => change({ settings: changed })} />
        <div className={classes.hint}>
          <span>Enter asks, Shift and Enter begins a new line, Escape stops.</span>
          <KeepAnswers isKept={isKept} onChange={(kept) => change({ isKept: kept })} />
          {talk.rounds.length > 0 && (
            <Button size="compact-xs" variant="subtle" onClick={talk.clear}>
              Start over
            </Button>
          )}
        </div>
      </div>
    </div>
  );
}

/** Who takes part: the models stand in the address, what each is told first in the draft. */
function useContestants(
  models: Model[],
  drafted: Contestant[],
  draft: (contestants: Contestant[]) => void,
): [Contestant[], (contestants: Contestant[]) => void] {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const named = PLACES.map((place) => search[place]).filter((id) => id !== undefined);
  const ids =
    named.length > 0 ? named : drafted.length > 0 ? drafted.map((one) => one.model) : defaults(models);
  const contestants = ids.map((id, at) => {
    const known = drafted[at];
    return known?.model === id ? known : newContestant(id, models);
  });
  const choose = (chosen: Contestant[]) => {
    draft(chosen);
    const places = chosen.map((one, at) => [PLACES[at] ?? "left", one.model]);
    void navigate({ search: Object.fromEntries(places) as Record<string, string>, replace: true });
  };
  return [contestants, choose];
}

/** The newest model of one's own beside what it was made from. */
function defaults(models: Model[]): string[] {
  const newest = models.find((model) => model.kind === "tuned");
  const base = newest?.base_model ?? models.find((model) => model.kind === "base")?.id ?? models[0]?.id ?? "";
  return newest ? [base, newest.id] : [base];
}

function useVoting(rounds: Round[], keepVote: (id: string, vote: Vote) => void, onDone: () => void) {
  const { mutate, isPending } = useVote();
  const vote = useCallback(
    (round: Round, given: Vote) =>
      mutate(
        { key: round.id, vote: voteBody(round, rounds, given) },
        {
          onError: tellFailure,
          onSuccess: () => {
            keepVote(round.id, given);
            onDone();
          },
        },
      ),
    [mutate, rounds, keepVote, onDone],
  );
  return { vote, isVoting: isPending };
}
