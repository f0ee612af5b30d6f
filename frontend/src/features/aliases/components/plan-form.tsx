import { Button, Group, NumberInput, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";
import classes from "@/features/aliases/components/aliases.module.css";
import {
  type Alias,
  type AliasPlan,
  type PromptProfile,
  profilesQuery,
  useRelease,
} from "@/features/aliases/queries";
import { modelName, modelsQuery } from "@/features/models/queries";

interface PlanFormProps {
  alias: Alias;
  onDone: () => void;
}

/** Who answers from now on: one model, two in shares, and perhaps one more that nobody sees. */
export function PlanForm({ alias, onDone }: PlanFormProps) {
  const models = useQuery(modelsQuery);
  const profiles = useQuery(profilesQuery(alias.name));
  const release = useRelease(alias.name);
  const [plan, setPlan] = useState<AliasPlan>(() => ({
    arms: alias.release.arms.map(({ model, percent, profile }) => ({ model, percent, profile })),
    shadow: alias.release.shadow,
    note: "",
  }));
  const choices = (models.data ?? [])
    .filter((model) => model.kind !== "alias" && model.is_ready)
    .map((model) => ({ value: model.id, label: modelName(model) }));
  const [first, second] = plan.arms;
  const setArm = (index: number, part: Partial<AliasPlan["arms"][number]>) =>
    setPlan({ ...plan, arms: plan.arms.map((arm, other) => (other === index ? { ...arm, ...part } : arm)) });
  const split = (percent: number) =>
    setPlan({
      ...plan,
      arms: plan.arms.map((arm, index) => ({ ...arm, percent: index === 1 ? percent : 100 - percent })),
    });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    release.mutate(plan, { onSuccess: onDone });
  };
  if (!first) return null;
  return (
    <form className={classes.form} onSubmit={submit}>
      {release.error && (
        <Notice tone="bad" title="Nothing was changed">
          {messageOf(release.error)}
        </Notice>
      )}
      <ArmFields
        label="Answers"
        choices={choices}
        profiles={profiles.data ?? []}
        arm={first}
        onChange={(part) => setArm(0, part)}
      />
      {second ? (
        <>
          <ArmFields
            label="Answers some"
            choices={choices}
            profiles={profiles.data ?? []}
            arm={second}
            onChange={(part) => setArm(1, part)}
          />
          <NumberInput
            label="Share of the second, in percent"
            description="Whoever is in a share stays in it: by the user that the request names, else by how the conversation began."
            min={1}
            max={99}
            value={second.percent}
            onChange={(value) => split(Number(value))}
          />
          <Button variant="subtle" onClick={() => setPlan({ ...plan, arms: [{ ...first, percent: 100 }] })}>
            One model for all
          </Button>
        </>
      ) : (
        <Button
          variant="subtle"
          onClick={() =>
            setPlan({
              ...plan,
              arms: [
                { ...first, percent: 90 },
                { ...first, percent: 10 },
              ],
            })
          }
        >
          Let a second model answer some
        </Button>
      )}
      <Select
        label="Answers silently"
        description="Its answers are kept here beside those that were sent, and nobody else sees them. They cost as others do, in lines of their own."
        placeholder="Nobody"
        data={choices}
        value={plan.shadow?.model ?? null}
        onChange={(model) => setPlan({ ...plan, shadow: model ? { model, profile: null } : null })}
        clearable
        clearButtonProps={{ "aria-label": "Nobody silently" }}
      />
      <TextInput
        label="Why"
        description="For the history; may be left out."
        value={plan.note}
        maxLength={500}
        onChange={(event) => setPlan({ ...plan, note: event.currentTarget.value })}
      />
      <Group>
        <Button type="submit" loading={release.isPending}>
          Use it from now on
        </Button>
        <Button variant="default" onClick={onDone}>
          Cancel
        </Button>
      </Group>
    </form>
  );
}

interface ArmFieldsProps {
  label: string;
  choices: { value: string; label: string }[];
  profiles: PromptProfile[];
  arm: AliasPlan["arms"][number];
  onChange: (part: Partial<AliasPlan["arms"][number]>) => void;
}

function ArmFields({ label, choices, profiles, arm, onChange }: ArmFieldsProps) {
  return (
    <div className={classes.arm}>
      <Select
        label={label}
        data={choices}
        value={arm.model}
        onChange={(model) => model && onChange({ model })}
        allowDeselect={false}
      />
      <Select
        label="With the prompt"
        placeholder="None"
        data={profiles.map((profile) => ({
          value: String(profile.version),
          label: `Version ${profile.version}`,
        }))}
        value={arm.profile ? String(arm.profile) : null}
        onChange={(version) => onChange({ profile: version ? Number(version) : null })}
        clearable
        clearButtonProps={{ "aria-label": "No prompt" }}
      />
    </div>
  );
}
