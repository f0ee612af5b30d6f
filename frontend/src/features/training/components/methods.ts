import type { AdapterType, MethodType } from "@/api/types";

interface Words {
  label: string;
  /** What it does, in a line. */
  sentence: string;
  /** What engineers call it, and where it is from. */
  tip: string;
}

/** What is learned from the rows. */
export const METHODS: Record<MethodType, Words> = {
  supervised: {
    label: "Answers",
    sentence: "It learns to give your answers.",
    tip: "Supervised fine-tuning: cross-entropy on the assistant's words only.",
  },
  dpo: {
    label: "Preferences, held near the base model",
    sentence: "It learns to prefer the better answer, without straying far from the base model.",
    tip: "DPO, direct preference optimisation (Rafailov et al. 2023): against the untouched base as reference.",
  },
  orpo: {
    label: "Preferences and answers in one",
    sentence:
      "It learns the better answer itself and to prefer it, both at once. Quicker, and strays further.",
    tip: "ORPO, odds-ratio preference optimisation (Hong et al. 2024): supervised and preference loss in one, no reference.",
  },
  continued_pretraining: {
    label: "Plain text",
    sentence: "It reads your text and learns its words and its way of writing.",
    tip: "Continued pre-training: next-token cross-entropy on every token.",
  },
};

/** How the base model is changed. */
export const ADAPTERS: Record<AdapterType, Words & { word: string }> = {
  auto: {
    label: "Automatic",
    word: "LoRA or QLoRA",
    sentence: "A small add-on; the base model is compressed where memory asks for it.",
    tip: "LoRA if the base fits whole, else QLoRA.",
  },
  lora: {
    label: "Small add-on",
    word: "LoRA",
    sentence: "A small add-on is learned; the base model stays as it is.",
    tip: "Low-rank adaptation (Hu et al. 2021): W x + (alpha / rank) B A x, with W frozen.",
  },
  qlora: {
    label: "Add-on, compressed base",
    word: "QLoRA",
    sentence: "The same, with the base model compressed: a quarter of the memory.",
    tip: "QLoRA (Dettmers et al. 2023): the frozen base in 4-bit NormalFloat, double quantised.",
  },
  rslora: {
    label: "Wide add-on",
    word: "rsLoRA",
    sentence: "An add-on that stays steady when it is wide. For when there is a lot to learn.",
    tip: "Rank-stabilised LoRA (Kalajdzievski 2023): scale alpha / √rank. Pays from rank 64 on.",
  },
  dora: {
    label: "Fine add-on",
    word: "DoRA",
    sentence: "How strong and which way are learned apart: often a little better, always slower.",
    tip: "DoRA (Liu et al. 2024): a learned magnitude for each output, LoRA for the direction.",
  },
  lora_plus: {
    label: "Quick add-on",
    word: "LoRA+",
    sentence: "One half of the add-on learns faster than the other, and gets there in fewer steps.",
    tip: "LoRA+ (Hayou et al. 2024): the rate of B is a multiple of the rate of A.",
  },
  pissa: {
    label: "Add-on with a head start",
    word: "PiSSA",
    sentence: "The add-on starts at what the base model uses most, instead of at nothing.",
    tip: "PiSSA (Meng et al. 2024): starts at the largest singular directions of the weights.",
  },
  prompt_tuning: {
    label: "Learned words",
    word: "prompt tuning",
    sentence: "Only a few invisible words before every question are learned. Tiny, and learns least.",
    tip: "Prompt tuning (Lester et al. 2021): learned vectors before the conversation, nothing else.",
  },
  full: {
    label: "The whole model",
    word: "full",
    sentence:
      "Every part of the model learns. Needs by far the most memory, and the result is not for the chat here.",
    tip: "Full fine-tuning: every weight is trained; the result is a model of its own, not an adapter.",
  },
};

/** For a choice: what it is, and what engineers call it. */
export function adapterLabel(type: AdapterType): string {
  return `${ADAPTERS[type].label} (${ADAPTERS[type].word})`;
}
