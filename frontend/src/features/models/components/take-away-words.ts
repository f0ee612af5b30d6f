import type { ExportFormat } from "@/api/types";

/** What each form is for, to somebody who never heard of it. The engineer's word is in brackets. */
export const FORMS: Record<ExportFormat, { title: string; about: string }> = {
  adapter: {
    title: "For developers who have the base model (PEFT)",
    about: "Only what it learned, without the base model. Small, quick to send, loaded by Python programs.",
  },
  merged: {
    title: "For another computer or service (the whole model)",
    about: "Base model and what it learned in one. Large; most programs that run models load it.",
  },
  gguf: {
    title: "For a computer of your own (Ollama, llama.cpp)",
    about: "One file that runs on a laptop, with the lines to start it. No internet needed there.",
  },
  bedrock: {
    title: "For Amazon (Bedrock)",
    about: "The whole model, laid out as Amazon's import of models wants it.",
  },
};

const STAGES: Record<string, string> = {
  fetching: "Getting the model.",
  asking: "Asking the model, to compare later.",
  merging: "Putting base model and what it learned together.",
  converting: "Writing the one file.",
  comparing: "Asking the whole model the same, and comparing.",
  publishing: "Checking and storing the files.",
};

export function stageWords(stage: string | null): string {
  return (stage && STAGES[stage]) ?? "Working.";
}

const ONE_FILE: Record<string, string> = {
  "model.gguf": "the whole model in one file",
  Modelfile: "how Ollama asks it, and where it stops",
};

const WEIGHTS = "the weights of the whole model";

const FILES: Record<string, string> = {
  "README.md": "what the model is, what was measured, and its limits",
  "manifest.json": "where it comes from, and a seal for every file",
  "manifest.sig": "the signature under that",
  "config.json": "how the model is built",
  "adapter_config.json": "how the learned part is put on the base model",
  "adapter_model.safetensors": "what it learned",
  "parity.safetensors": "what it answered while it was trained, to compare with",
};

export function fileWords(name: string): string | null {
  if (ONE_FILE[name]) return ONE_FILE[name];
  if (FILES[name]) return FILES[name];
  if (name.endsWith(".safetensors")) return WEIGHTS;
  if (name.startsWith("token")) return "how text is cut into pieces";
  return null;
}
