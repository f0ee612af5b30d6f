import { PasswordInput } from "@mantine/core";

interface NewPasswordProps {
  label?: string;
  value: string;
  onChange: (value: string) => void;
}

/** A password to be chosen; the API says no to one that is too short, and why. */
export function NewPassword({ label = "New password", value, onChange }: NewPasswordProps) {
  return (
    <PasswordInput
      label={label}
      description="At least 12 characters. A short sentence is easy to remember and hard to guess."
      autoComplete="new-password"
      minLength={12}
      required
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
