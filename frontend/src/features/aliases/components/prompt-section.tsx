import { Button, Group, NumberInput, Select, Textarea } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";
import { messageOf } from "@/api/errors";
import { Notice } from "@/components/ui/notice";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import classes from "@/features/aliases/components/aliases.module.css";
import { type PromptProfile, profilesQuery, useAddProfile } from "@/features/aliases/queries";
import { useCan } from "@/features/session/queries";

/** What is said to the model before anybody speaks: versions, two side by side, and a new one. */
export function PromptSection({ name }: { name: string }) {
  const profiles = useQuery(profilesQuery(name));
  const [isWriting, setWriting] = useState(false);
  const can = useCan();
  return (
    <Section
      title="Prompts"
      lead="What the model is told before anybody speaks. A version is never changed, and is used once you choose it under “Change who answers”. A request with a system message of its own is given that instead."
      actions={
        can("models:write") &&
        !isWriting && (
          <Button variant="default" onClick={() => setWriting(true)}>
            Write a new version
          </Button>
        )
      }
    >
      {isWriting && <ProfileForm name={name} newest={profiles.data?.[0]} onDone={() => setWriting(false)} />}
      <QueryView query={profiles} what="the prompts" skeleton={<SkeletonLines count={2} height={40} />}>
        {(list) => (list.length === 0 ? <p>None yet.</p> : <Compared profiles={list} />)}
      </QueryView>
    </Section>
  );
}

function Compared({ profiles }: { profiles: PromptProfile[] }) {
  const [left, setLeft] = useState<number>();
  const [right, setRight] = useState<number>();
  const find = (version: number | undefined, index: number) =>
    profiles.find((profile) => profile.version === version) ?? profiles[index];
  const shown = [
    { label: "Version", profile: find(right, 0), choose: setRight },
    ...(profiles.length > 1 ? [{ label: "Beside it", profile: find(left, 1), choose: setLeft }] : []),
  ];
  return (
    <div className={classes.pair}>
      {shown.map(({ label, profile, choose }) => (
        <div key={label}>
          <Select
            label={label}
            data={profiles.map((one) => ({ value: String(one.version), label: `Version ${one.version}` }))}
            value={profile ? String(profile.version) : null}
            onChange={(version) => choose(Number(version))}
            allowDeselect={false}
          />
          <p>{profile && profile.system_prompt !== "" ? profile.system_prompt : "Says nothing."}</p>
          {profile?.temperature != null && <p>Liveliness (temperature): {profile.temperature}</p>}
        </div>
      ))}
    </div>
  );
}

interface ProfileFormProps {
  name: string;
  newest: PromptProfile | undefined;
  onDone: () => void;
}

function ProfileForm({ name, newest, onDone }: ProfileFormProps) {
  const add = useAddProfile(name);
  const [prompt, setPrompt] = useState(newest?.system_prompt ?? "");
  const [temperature, setTemperature] = useState<number | null>(newest?.temperature ?? null);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    add.mutate({ system_prompt: prompt, temperature, note: "" }, { onSuccess: onDone });
  };
  return (
    <form className={classes.form} onSubmit={submit}>
      {add.error && (
        <Notice tone="bad" title="This was not saved">
          {messageOf(add.error)}
        </Notice>
      )}
      <Textarea
        label="What the model is told first"
        placeholder="You answer customers of a clinic. Be short and kind."
        autosize
        minRows={4}
        value={prompt}
        onChange={(event) => setPrompt(event.currentTarget.value)}
      />
      <NumberInput
        label="Liveliness (temperature)"
        description="0 answers the same each time; left out, 1 is used. A request may say otherwise."
        min={0}
        max={2}
        step={0.1}
        value={temperature ?? ""}
        onChange={(value) => setTemperature(value === "" ? null : Number(value))}
      />
      <Group>
        <Button type="submit" loading={add.isPending}>
          Save as a new version
        </Button>
        <Button variant="default" onClick={onDone}>
          Cancel
        </Button>
      </Group>
    </form>
  );
}
