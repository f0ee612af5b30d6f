import { Button, NativeSelect, Switch, Textarea } from "@mantine/core";
import { useQueries, useQuery } from "@tanstack/react-query";
import type { Model, PromptProfile } from "@/api/types";
import { aliasesQuery, profilesQuery } from "@/features/aliases/queries";
import { modelName } from "@/features/models/queries";
import { type Contestant, MAX_CONTESTANTS } from "@/features/playground/rounds";
import classes from "./contestants.module.css";

const PLACES = ["First", "Second", "Third", "Fourth"] as const;

interface ContestantsProps {
  models: Model[];
  contestants: Contestant[];
  onChange: (contestants: Contestant[]) => void;
  isBlind: boolean;
  onBlind: (isBlind: boolean) => void;
  isBusy: boolean;
}

/** Who takes part: up to four models, or prompts for one. */
export function Contestants({ models, contestants, onChange, isBlind, onBlind, isBusy }: ContestantsProps) {
  const profiles = useProfiles();
  const replace = (at: number, change: Partial<Contestant>) =>
    onChange(contestants.map((one, place) => (place === at ? { ...one, ...change } : one)));
  const add = () => {
    const taken = contestants.map((one) => one.model);
    const other = models.find((model) => !taken.includes(model.id)) ?? models[0];
    if (other) onChange([...contestants, newContestant(other.id, models)]);
  };
  return (
    <section className={classes.bar} aria-label="Who answers">
      <div className={classes.places} data-count={contestants.length}>
        {contestants.map((contestant, at) => (
          <Place
            key={at}
            name={`${PLACES[at] ?? ""} model`}
            models={models}
            profiles={profiles}
            contestant={contestant}
            onChange={(change) => replace(at, change)}
            onRemove={
              contestants.length > 1 ? () => onChange(contestants.filter((_, place) => place !== at)) : null
            }
            isBusy={isBusy}
          />
        ))}
      </div>
      <div className={classes.below}>
        {contestants.length < MAX_CONTESTANTS && (
          <Button size="compact-sm" variant="default" onClick={add} disabled={isBusy}>
            {contestants.length === 1 ? "Compare with another" : "Add another"}
          </Button>
        )}
        {contestants.length > 1 && (
          <Switch
            size="sm"
            label="Compare without knowing which is which"
            checked={isBlind}
            disabled={isBusy}
            onChange={(event) => onBlind(event.currentTarget.checked)}
          />
        )}
      </div>
    </section>
  );
}

export function newContestant(model: string, models: Model[]): Contestant {
  const isAlias = models.some((one) => one.id === model && one.kind === "alias");
  return { model, isAlias, prompt: "", profile: null };
}

interface PlaceProps {
  name: string;
  models: Model[];
  profiles: SavedPrompt[];
  contestant: Contestant;
  onChange: (change: Partial<Contestant>) => void;
  onRemove: (() => void) | null;
  isBusy: boolean;
}

function Place({ name, models, profiles, contestant, onChange, onRemove, isBusy }: PlaceProps) {
  const isKnown = models.some((model) => model.id === contestant.model);
  return (
    <div className={classes.place}>
      <div className={classes.choice}>
        <NativeSelect
          aria-label={name}
          value={contestant.model}
          disabled={isBusy}
          onChange={(event) => onChange(newContestant(event.currentTarget.value, models))}
          data={[
            ...(isKnown
              ? []
              : [{ value: contestant.model, label: contestant.model ? "No longer here" : "Choose a model" }]),
            ...models.map((model) => ({ value: model.id, label: label(model) })),
          ]}
        />
        {onRemove && (
          <Button
            size="compact-sm"
            variant="subtle"
            onClick={onRemove}
            disabled={isBusy}
            aria-label={`Remove the ${name.toLowerCase()}`}
          >
            Remove
          </Button>
        )}
      </div>
      <details className={classes.own}>
        <summary>
          {contestant.profile
            ? `Prompt: ${contestant.profile.alias}, version ${contestant.profile.version}`
            : contestant.prompt
              ? "Has a prompt of its own"
              : "A prompt of its own"}
        </summary>
        <OwnPrompt
          name={name}
          profiles={profiles}
          contestant={contestant}
          onChange={onChange}
          isBusy={isBusy}
        />
      </details>
    </div>
  );
}

function OwnPrompt({
  name,
  profiles,
  contestant,
  onChange,
  isBusy,
}: Omit<PlaceProps, "models" | "onRemove">) {
  const chosen = contestant.profile && `${contestant.profile.alias}/${contestant.profile.version}`;
  return (
    <div className={classes.prompt}>
      {profiles.length > 0 && (
        <NativeSelect
          label="Take a saved prompt"
          value={chosen ?? ""}
          disabled={isBusy}
          onChange={(event) => {
            const found = profiles.find((one) => one.key === event.currentTarget.value);
            onChange(
              found ? { prompt: found.profile.system_prompt, profile: found.choice } : { profile: null },
            );
          }}
          data={[
            { value: "", label: "None" },
            ...profiles.map((one) => ({ value: one.key, label: one.label })),
          ]}
        />
      )}
      <Textarea
        label="What this one is told first"
        description="In the place of what all are told."
        aria-label={`What the ${name.toLowerCase()} is told first`}
        autosize
        minRows={2}
        maxRows={8}
        value={contestant.prompt}
        disabled={isBusy}
        onChange={(event) => onChange({ prompt: event.currentTarget.value, profile: null })}
      />
    </div>
  );
}

/** The prompts of all stable names, in all their versions. */
function useProfiles(): SavedPrompt[] {
  const aliases = useQuery(aliasesQuery).data ?? [];
  const found = useQueries({ queries: aliases.map((alias) => profilesQuery(alias.name)) });
  return found.flatMap((query, at) =>
    (query.data ?? []).map((profile) => choice(aliases[at]?.name ?? "", profile)),
  );
}

type SavedPrompt = ReturnType<typeof choice>;

function choice(alias: string, profile: PromptProfile) {
  const { version } = profile;
  return {
    key: `${alias}/${version}`,
    label: `${alias}, version ${version}`,
    profile,
    choice: {
      alias,
      version,
      temperature: profile.temperature,
      topP: profile.top_p,
      maxTokens: profile.max_tokens,
    },
  };
}

function label(model: Model): string {
  const kinds = { base: " (base)", alias: " (stable name)", tuned: "" } as const;
  return `${modelName(model)}${kinds[model.kind]}`;
}
