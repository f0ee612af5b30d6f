"""TRL's losses on a tiny random Llama, kept as an oracle: `.bench/trl/bin/python bench/competitors/trl_oracle.py`.

Runs in TRL's own environment (`python bench/competitors/environments.py trl`) and writes tests/assets/oracles/trl.json.
The losses are those of TRL's trainers themselves, built as its users build them, at the batches that the file holds;
nothing of this project is imported. `_FORMAT` explains the file, and is written into it.
"""

import json
import platform
import tempfile
import zlib
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

_OUT = Path(__file__).parents[2] / "tests" / "assets" / "oracles" / "trl.json"
_FORMAT = """\
model.config: LlamaConfig (transformers); float32, eager or SDPA attention, no dropout.
Weights rule: the parameter NAME of LlamaForCausalLM (or, for LoRA, NAME = '<module>.lora_A' or '<module>.lora_B' with
<module> as in LlamaForCausalLM, e.g. 'model.layers.0.self_attn.q_proj.lora_A') of shape SHAPE is
  w = (numpy.random.default_rng([seed, zlib.crc32(NAME.encode())]).random(SHAPE) - 0.5) * scale, cast to float32;
  parameters whose name ends in 'norm.weight' are 1 + w. 'scale' is model.scale, or lora.scale for LoRA's matrices.
lora: on every linear layer but the head; A has shape [rank, in], B [out, rank]; y = W x + alpha / rank * B A x.
weights_check: sums of absolute values of a few parameters, to see that the rule was read right.
Every loss is of the model with LoRA; DPO's reference is the model without it.
sft: rows of input_ids and completion_mask (1 = trained; the first token of a row is predicted by nothing). `loss` is
  the mean over all trained tokens of all rows; `log_probs` are the sums over a row's trained tokens.
  `accumulated` are the losses of the first two rows and of the others as micro-batches of one step: they sum to `loss`.
dpo: pairs of prompt_ids, chosen_ids, rejected_ids; loss_type sigmoid; the mean over pairs. `*_log_probs` are sums over
  the answer's tokens. `reward_margin` is beta * mean((chosen - reference) - (rejected - reference)).
orpo: the same pairs. `loss` = `nll` - beta * mean(log_sigmoid(log_odds)); TRL's `nll` is the mean over all tokens of
  all chosen rows, PROMPTS INCLUDED. `odds_loss` = -beta * mean(log_sigmoid(log_odds)) stands alone beside it; in
  the case 'one_token_prompts' no prompt token is predicted, so the definition with and without prompts is the same.
  `*_mean_log_probs` are means over the answer's tokens.
lora_gradient_norms: the L2 norm of d loss / d parameter of each LoRA matrix; grad_norm: of all of them together."""

_SEED, _SCALE, _LORA_SCALE = 20, 0.5, 0.4
_VOCAB = 97
_CONFIG = {
    "vocab_size": _VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_RANK, _ALPHA, _BETA = 4, 8, 0.1
_LENGTHS = ((5, 9), (1, 12), (17, 3), (8, 8))
"""(prompt, answer) tokens of the supervised rows."""
_PAIRS = ((6, 7, 5), (3, 4, 11), (12, 9, 9))
"""(prompt, chosen, rejected) tokens of the preference rows."""


def main() -> None:
    found = {
        "format": _FORMAT.split("\n"),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("trl", "transformers", "peft", "torch", "numpy")},
        },
        "model": {"config": _CONFIG, "seed": _SEED, "scale": _SCALE},
        "lora": {"rank": _RANK, "alpha": _ALPHA, "scale": _LORA_SCALE},
    }
    _tune(model := _untuned())
    found["weights_check"] = {
        _short(name): float(parameter.detach().abs().double().sum())
        for name, parameter in model.named_parameters()
        if any(part in name for part in ("embed_tokens", "layers.0.self_attn.q_proj", "model.norm"))
    }
    with tempfile.TemporaryDirectory() as folder:
        found["sft"] = _sft(folder)
        found["dpo"] = {"beta": _BETA, "cases": {"pairs": _dpo(folder, _pairs(_PAIRS))}}
        cases = {"pairs": _pairs(_PAIRS), "one_token_prompts": _pairs([(1, *answers) for _, *answers in _PAIRS])}
        found["orpo"] = {"beta": _BETA, "cases": {name: _orpo(folder, rows) for name, rows in cases.items()}}
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(found, indent=1) + "\n")


def _weights(name: str, shape: torch.Size, scale: float) -> torch.Tensor:
    draw = np.random.default_rng([_SEED, zlib.crc32(name.encode())]).random(tuple(shape))
    weight = (draw - 0.5) * scale
    return torch.from_numpy(1 + weight if name.endswith("norm.weight") else weight).float()


def _untuned() -> Any:
    base = LlamaForCausalLM(LlamaConfig(**_CONFIG))
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            parameter.copy_(_weights(name, parameter.shape, _SCALE))
        lora = LoraConfig(r=_RANK, lora_alpha=_ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
        return get_peft_model(base, lora)


def _tune(model: Any) -> None:
    """After a trainer was built: DPOTrainer keeps the adapter it is given as its reference, so that must be zero."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name and ".default." in name:
                parameter.copy_(_weights(_short(name), parameter.shape, _LORA_SCALE))


def _short(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".default.weight", "").replace(".base_layer.", ".")


def _tokenizer() -> PreTrainedTokenizerFast:
    """TRL wants one; every row comes tokenised."""
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{number}": number for number in range(3, _VOCAB)}
    plain = Tokenizer(models.WordLevel(words, unk_token="</s>"))  # noqa: S106 - not a password
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", bos_token="<s>", eos_token="</s>")  # noqa: S106


def _ids(*key: int, length: int) -> list[int]:
    return np.random.default_rng([_SEED, *key]).integers(3, _VOCAB, length).tolist()


def _pairs(lengths: Any) -> list[dict[str, list[int]]]:
    return [
        {
            "prompt_ids": _ids(1, number, length=prompt),
            "chosen_ids": _ids(2, number, length=chosen),
            "rejected_ids": _ids(3, number, length=rejected),
        }
        for number, (prompt, chosen, rejected) in enumerate(lengths)
    ]


def _common(folder: str) -> dict[str, Any]:
    return {
        "output_dir": folder,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "max_length": 64,
    }


def _sft(folder: str) -> dict[str, Any]:
    rows = []
    for number, (prompt, answer) in enumerate(_LENGTHS):
        mask = [0] * prompt + [1] * answer
        rows.append({"input_ids": _ids(4, number, length=prompt + answer), "completion_mask": mask})
    model = _untuned()
    args = SFTConfig(**_common(folder), completion_only_loss=True)
    trainer = SFTTrainer(model, args=args, train_dataset=Dataset.from_list(rows), processing_class=_tokenizer())
    _tune(trainer.model)
    features = [trainer.train_dataset[number] for number in range(len(rows))]
    num_tokens = sum(sum(row["completion_mask"][1:]) for row in rows)

    def loss(chosen: list[Any], num_items: int | None = None) -> torch.Tensor:
        return trainer.compute_loss(trainer.model, trainer.data_collator(chosen), num_items_in_batch=num_items)

    total = loss(features)
    found = {
        "rows": rows,
        "num_trained_tokens": num_tokens,
        "loss": total.item(),
        "accumulated": [loss(part, num_tokens).item() for part in (features[:2], features[2:])],
        "log_probs": [-loss([feature], 1).item() for feature in features],
    }
    return found | _gradients(trainer.model, total)


def _dpo(folder: str, rows: list[dict[str, list[int]]]) -> dict[str, Any]:
    trainer = DPOTrainer(
        _untuned(),
        args=DPOConfig(**_common(folder), beta=_BETA),
        train_dataset=_as_text(rows),
        processing_class=_tokenizer(),
    )
    _tune(trainer.model)
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
    found: dict[str, Any] = {"rows": rows, "loss": loss.item()}
    found["reward_margin"] = trainer._metrics["train"]["rewards/margins"][-1]  # noqa: SLF001 - what it would log
    return found | _answer_log_probs(trainer, rows) | _gradients(trainer.model, loss)


def _answer_log_probs(trainer: DPOTrainer, rows: list[dict[str, list[int]]]) -> dict[str, list[float]]:
    """Of the reference by TRL's own function; of the tuned model as its loss takes them."""
    batch = trainer.data_collator(rows)
    reference = trainer.compute_ref_log_probs(trainer.model, batch)
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    tuned = trainer.model(**inputs, labels=labels, fused_lm_head=True).log_probs.sum(dim=1).chunk(2)
    names = ("chosen_log_probs", "rejected_log_probs")
    found = {name: values.tolist() for name, values in zip(names, tuned, strict=True)}
    return found | {f"reference_{name}": values.tolist() for name, values in zip(names, reference, strict=True)}


def _orpo(folder: str, rows: list[dict[str, list[int]]]) -> dict[str, Any]:
    trainer = ORPOTrainer(
        _untuned(),
        args=ORPOConfig(**_common(folder), beta=_BETA),
        train_dataset=_as_text(rows),
        processing_class=_tokenizer(),
    )
    _tune(trainer.model)
    features = [
        {
            f"{which}_{key}": value
            for which in ("chosen", "rejected")
            for key, value in _orpo_row(row["prompt_ids"], row[f"{which}_ids"]).items()
        }
        | {"prompt_input_ids": row["prompt_ids"], "prompt_attention_mask": [1] * len(row["prompt_ids"])}
        for row in rows
    ]
    batch = trainer.data_collator(features)
    loss, _ = trainer.get_batch_loss_metrics(trainer.model, batch)
    chosen, rejected, _, _, nll = trainer.concatenated_forward(trainer.model, batch)
    odds, *_ = trainer.odds_ratio_loss(chosen, rejected)
    found = {
        "rows": rows,
        "loss": loss.item(),
        "nll": nll.item(),
        "odds_loss": -odds.mean().item(),
        "chosen_mean_log_probs": chosen.tolist(),
        "rejected_mean_log_probs": rejected.tolist(),
    }
    return found | _gradients(trainer.model, loss)


def _orpo_row(prompt: list[int], answer: list[int]) -> dict[str, list[int]]:
    ids = prompt + answer
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(prompt) + answer}


def _as_text(rows: list[dict[str, list[int]]]) -> Dataset:
    """What the trainers prepare when they are built; the losses are taken at `rows` themselves."""
    return Dataset.from_list(
        [
            {
                which: " " + " ".join(f"w{token}" for token in row[f"{which}_ids"])
                for which in ("prompt", "chosen", "rejected")
            }
            for row in rows
        ]
    )


def _gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, Any]:
    model.zero_grad()
    loss.backward()
    norms = {
        _short(name): float(parameter.grad.double().norm())
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return {"grad_norm": float(np.sqrt(sum(norm**2 for norm in norms.values()))), "lora_gradient_norms": norms}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
