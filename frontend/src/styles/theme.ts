import {
  Badge,
  Button,
  Checkbox,
  createTheme,
  Modal,
  NativeSelect,
  NumberInput,
  PasswordInput,
  Skeleton,
  Textarea,
  TextInput,
  Tooltip,
  type CSSVariablesResolver,
} from "@mantine/core";

const LEAF = [
  "#eef6f0",
  "#dcebe0",
  "#b7d8c2",
  "#8fc4a2",
  "#6db287",
  "#4d9c6c",
  "#2f8258",
  "#1d6a48",
  "#165638",
  "#0f3d28",
] as const;

const PAPER = [
  "#fafaf6",
  "#f2f2eb",
  "#e9eae1",
  "#e1e2d8",
  "#cdcfc2",
  "#acb0a1",
  "#868a7c",
  "#656b60",
  "#4d544a",
  "#1b201a",
] as const;

const NIGHT = [
  "#ecefe7",
  "#b9c0b2",
  "#979f91",
  "#7d8577",
  "#3c4339",
  "#30362e",
  "#20251f",
  "#1a1e19",
  "#141713",
  "#0e100d",
] as const;

/** Mantine's controls, dressed in the tokens: they never bring a colour or a size of their own. */
export const theme = createTheme({
  primaryColor: "leaf",
  primaryShade: { light: 7, dark: 4 },
  colors: { leaf: LEAF, gray: PAPER, dark: NIGHT },
  fontFamily: "var(--font-text)",
  fontFamilyMonospace: "var(--font-code)",
  headings: { fontFamily: "var(--font-text)" },
  defaultRadius: 6,
  fontSizes: { xs: "0.75rem", sm: "0.875rem", md: "0.875rem", lg: "1rem", xl: "1.25rem" },
  spacing: { xs: "0.5rem", sm: "0.75rem", md: "1rem", lg: "1.5rem", xl: "2rem" },
  focusRing: "auto",
  respectReducedMotion: true,
  cursorType: "pointer",
  components: {
    Button: Button.extend({
      defaultProps: { size: "sm" },
      vars: (_theme, props) => {
        const fill = { "--button-bg": "var(--accent-fill)", "--button-hover": "var(--accent-fill-hover)" };
        const plain = { "--button-bg": "var(--surface)", "--button-hover": "var(--sunk)" };
        const variant = props.variant ?? "filled";
        if (variant === "filled" && !props.color)
          return { root: { ...fill, "--button-color": "var(--on-accent)" } };
        if (variant === "filled") {
          return {
            root: {
              "--button-bg": "var(--bad)",
              "--button-hover": "color-mix(in srgb, var(--bad) 88%, var(--ink))",
              "--button-color": "var(--paper)",
            },
          };
        }
        if (variant === "default") {
          return {
            root: { ...plain, "--button-color": "var(--ink)", "--button-bd": "1px solid var(--line)" },
          };
        }
        if (variant === "subtle") {
          const color = props.color ? "var(--bad)" : "var(--ink-soft)";
          return { root: { "--button-hover": "var(--sunk)", "--button-color": color } };
        }
        return { root: {} };
      },
    }),
    TextInput: TextInput.extend({ defaultProps: { size: "sm" } }),
    PasswordInput: PasswordInput.extend({ defaultProps: { size: "sm" } }),
    NumberInput: NumberInput.extend({ defaultProps: { size: "sm" } }),
    NativeSelect: NativeSelect.extend({ defaultProps: { size: "sm" } }),
    Textarea: Textarea.extend({ defaultProps: { size: "sm", autosize: true, minRows: 1, maxRows: 8 } }),
    Checkbox: Checkbox.extend({ defaultProps: { size: "sm" } }),
    Badge: Badge.extend({ defaultProps: { radius: "sm" } }),
    Skeleton: Skeleton.extend({ defaultProps: { radius: 4 } }),
    Modal: Modal.extend({ defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.35 } } }),
    Tooltip: Tooltip.extend({
      defaultProps: {
        withArrow: true,
        multiline: true,
        maw: 280,
        events: { hover: true, focus: true, touch: true },
      },
    }),
  },
});

const SHARED = {
  "--mantine-color-body": "var(--paper)",
  "--mantine-color-text": "var(--ink)",
  "--mantine-color-dimmed": "var(--ink-faint)",
  "--mantine-color-placeholder": "var(--ink-faint)",
  "--mantine-color-anchor": "var(--accent)",
  "--mantine-color-error": "var(--bad)",
  "--mantine-color-default": "var(--surface)",
  "--mantine-color-default-hover": "var(--sunk)",
  "--mantine-color-default-color": "var(--ink)",
  "--mantine-color-default-border": "var(--line)",
  "--mantine-primary-color-filled": "var(--accent-fill)",
  "--mantine-primary-color-filled-hover": "var(--accent-fill-hover)",
  "--mantine-line-height": "1.5",
};

export const cssVariables: CSSVariablesResolver = () => ({ variables: {}, light: SHARED, dark: SHARED });
