import { Button, NumberInput, Textarea } from "@mantine/core";
import { NO_SETTINGS, type Settings } from "@/features/playground/rounds";
import classes from "./sampling-settings.module.css";

interface SamplingSettingsProps {
  settings: Settings;
  onChange: (settings: Settings) => void;
}

/** What all are told first, and how they choose their words. Folded away: nobody needs it to begin. */
export function SamplingSettings({ settings, onChange }: SamplingSettingsProps) {
  const set = (change: Partial<Settings>) => onChange({ ...settings, ...change });
  const isChanged = JSON.stringify(settings) !== JSON.stringify(NO_SETTINGS);
  return (
    <details className={classes.settings}>
      <summary>{isChanged ? "How they answer (changed)" : "How they answer"}</summary>
      <div className={classes.fields}>
        <Textarea
          label="What all are told first"
          placeholder="You answer customers of a clinic. Be short and kind."
          autosize
          minRows={2}
          maxRows={8}
          className={classes.wide ?? ""}
          value={settings.system}
          onChange={(event) => set({ system: event.currentTarget.value })}
        />
        <NumberField
          label="Liveliness (temperature)"
          description="0 to 2. Empty: 0.3, or what a stable name says"
          limits={{ min: 0, max: 2, step: 0.1 }}
          value={settings.temperature}
          onChange={(temperature) => set({ temperature })}
        />
        <NumberField
          label="Likely words only (top_p)"
          description="0.01 to 1. Empty: all"
          limits={{ min: 0.01, max: 1, step: 0.05 }}
          value={settings.topP}
          onChange={(topP) => set({ topP })}
        />
        <NumberField
          label="Longest answer (max_tokens)"
          description="In tokens. Empty: 1,024"
          limits={{ min: 1, max: 100_000, step: 64 }}
          value={settings.maxTokens}
          onChange={(maxTokens) => set({ maxTokens })}
        />
        <NumberField
          label="Repeatable (seed)"
          description="The same number, the same answer. Empty: by chance"
          limits={{ min: 0, max: 2_147_483_647, step: 1 }}
          value={settings.seed}
          onChange={(seed) => set({ seed })}
        />
        <Textarea
          label="End before (stop)"
          description="Up to 4 texts, one on a line"
          autosize
          minRows={1}
          maxRows={4}
          value={settings.stop}
          onChange={(event) => set({ stop: event.currentTarget.value })}
        />
        {isChanged && (
          <Button size="compact-sm" variant="subtle" onClick={() => onChange(NO_SETTINGS)}>
            As it was
          </Button>
        )}
      </div>
    </details>
  );
}

interface NumberFieldProps {
  label: string;
  description: string;
  limits: { min: number; max: number; step: number };
  value: number | null;
  onChange: (value: number | null) => void;
}

function NumberField({ label, description, limits, value, onChange }: NumberFieldProps) {
  return (
    <NumberInput
      label={label}
      description={description}
      {...limits}
      clampBehavior="blur"
      value={value ?? ""}
      onChange={(given) => onChange(given === "" ? null : Number(given))}
    />
  );
}
