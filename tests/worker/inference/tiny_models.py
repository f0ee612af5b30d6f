"""A base model of two layers with a tokenizer of its own, and adapters for it, made in a second."""

import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, PromptTuningConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from core.base_models import service as base_models
from core.base_models.types import MARKER_NAME, MarkedFile, ModelFolder
from core.inference.types import AdapterRef, ChatRequest, Message, Sampling
from core.kit.hashing import sha256_file
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_weights import AdapterWeights, read_adapter_weights
from worker.inference.runtime import BaseRuntime

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXTS = ["What is 2 + 2?\n\nIn one word.", "Four, naturally.", "You are welcome. Thanks!", "user assistant system\n"]


def make_base_model(folder: Path, *, num_heads: int = 4) -> Path:
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|im_end|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=304,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=num_heads,
        num_key_value_heads=num_heads // 2,
        max_position_embeddings=1024,
        initializer_range=0.3,  # scores far enough apart that rounding never decides the greedy choice
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_home(home: Path, *, num_heads: int = 4) -> Path:
    """A home whose default base model is the tiny one."""
    model = base_models.default_base_model()
    folder = make_base_model(home / "base_models" / model.id, num_heads=num_heads)
    files = {
        path.name: MarkedFile(sha256=sha256_file(path), num_bytes=path.stat().st_size) for path in folder.iterdir()
    }
    marker = ModelFolder(id=model.id, revision=model.revision, files=files)
    (folder / MARKER_NAME).write_text(marker.model_dump_json())
    return home


def make_adapter(
    base: Path, folder: Path, *, seed: int, rank: int = 4, rslora: bool = False, dora: bool = False
) -> Path:
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", use_rslora=rslora, use_dora=dora)
    model = _attach(base, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
            if "magnitude" in name:
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    model.save_pretrained(folder)
    return folder


def make_prompt(base: Path, folder: Path, *, seed: int, num_virtual_tokens: int = 6) -> Path:
    """Learned vectors before every conversation."""
    torch.manual_seed(seed)
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=num_virtual_tokens)
    _attach(base, config).save_pretrained(folder)
    return folder


def _attach(base: Path, config: PeftConfig) -> PeftModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT still reads an attribute that transformers renamed
        return get_peft_model(LlamaForCausalLM.from_pretrained(base), config)


def load_adapter(runtime: BaseRuntime, folder: Path) -> AdapterWeights:
    return read_adapter_weights(
        (folder / "adapter_model.safetensors").read_bytes(),
        parse_adapter_config((folder / "adapter_config.json").read_bytes()),
        digest=folder.name,
        base=runtime,
    )


def chat_request(content: str = "What is 2 + 2?", adapter: AdapterRef | None = None, **sampling: object) -> ChatRequest:
    return ChatRequest(
        base_model=base_models.default_base_model().id,
        messages=(Message(role="user", content=content),),
        adapter=adapter,
        sampling=Sampling.model_validate({"max_tokens": 24, "temperature": 0, **sampling}),
    )
