"""One judge for all contestants: the held-out loss of a saved adapter, by plain transformers and PEFT, in float32.

`python evaluate.py MODEL_DIR ROWS.jsonl NUM_THREADS [ADAPTER_DIR ...]` prints a JSON object a line for the base and for
each adapter: nats per token, over all answers' words and the token that ends them. Rows are computed one by one, so
neither padding nor packing can play a part. Runs in the environment `hf`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(model_dir: str, rows_path: str, num_threads: str, *adapters: str) -> None:
    torch.set_num_threads(int(num_threads))
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    with Path(rows_path).open() as stream:
        rows = [_tokenize(tokenizer, json.loads(line)["messages"]) for line in stream]
    for adapter in ("", *adapters):
        model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
        if adapter:
            model = PeftModel.from_pretrained(model, adapter)
        print(json.dumps({"adapter": adapter, "loss": _loss(model.eval(), rows)}), flush=True)


def _tokenize(tokenizer: Any, messages: list[dict[str, str]]) -> tuple[list[int], int]:
    """Ids up to the answer's end-of-turn token, and how many of them are the prompt."""
    ids = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    special = set(tokenizer.all_special_ids)
    end = max(place for place, token in enumerate(ids) if token in special) + 1
    return ids[:end], len(prompt)


@torch.inference_mode()
def _loss(model: Any, rows: list[tuple[list[int], int]]) -> float:
    total, num_tokens = 0.0, 0
    for ids, num_prompt in rows:
        logits = model(input_ids=torch.tensor([ids])).logits[0, num_prompt - 1 : -1]
        targets = torch.tensor(ids[num_prompt:])
        total += torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum").item()
        num_tokens += len(targets)
    return total / num_tokens


if __name__ == "__main__":
    main(*sys.argv[1:])
