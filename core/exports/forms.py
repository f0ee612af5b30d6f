"""The forms in which a tuned model is taken away, and the files that each of them has."""

from enum import StrEnum
from typing import Final

KIND: Final = "tailorbird.model_export"
"""Says in a manifest that it is one of ours."""
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
CARD: Final = "README.md"


class ModelExportFormat(StrEnum):
    ADAPTER = "adapter"
    """The small weights alone, for PEFT; whoever loads them has the base model."""
    MERGED = "merged"
    """The whole model, for transformers and most model servers."""
    GGUF = "gguf"
    """One file for llama.cpp and Ollama."""
    BEDROCK = "bedrock"
    """The whole model in the layout of Amazon Bedrock's custom model import."""


BEDROCK_ARCHITECTURES: Final = frozenset(
    {
        "GPTBigCodeForCausalLM",
        "GptOssForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "MixtralForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "Qwen3MoeForCausalLM",
    }
)
"""What Amazon documented for text models in November 2025 (Bedrock user guide, "Import a customized model")."""


def bedrock_refusal(named: str) -> str:
    return (
        f"Amazon Bedrock imports models built like Llama, Mistral, Mixtral, Qwen, GPT-OSS and GPTBigCode, and {named} "
        "is none of these. Take the whole model and serve it yourself, or train on another base model."
    )
