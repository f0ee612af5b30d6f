"""The peer for the time to a first step: the same imports, the same model, the same rows, and nothing else.

`python bench/bare_first_step.py RUN_DIR`, RUN_DIR being the folder of a finished run's attempt: its `spec.json` and
`train.jsonl`. Prints the seconds from the start of the process to the end of the first optimizer step.
"""

import json
import sys
import time

STARTED = time.time() if len(sys.argv) < 3 else float(sys.argv[2])  # noqa: PLR2004 - when its parent started it

import torch  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402


def main(folder: str) -> None:
    with open(f"{folder}/spec.json") as stream:  # noqa: PTH123 - a bare script
        spec = json.load(stream)
    torch.set_num_threads(spec["num_threads"])
    tokenizer = AutoTokenizer.from_pretrained(spec["base_model_dir"])
    with open(f"{folder}/train.jsonl") as stream:  # noqa: PTH123 - a bare script
        rows = [json.loads(line)["messages"] for line in stream]
    tokens = [tokenizer.apply_chat_template(row, return_dict=True)["input_ids"] for row in rows]
    model = AutoModelForCausalLM.from_pretrained(spec["base_model_dir"], dtype=torch.float32)
    method = spec["method"]
    model = get_peft_model(model, LoraConfig(r=method["rank"], lora_alpha=method["alpha"], target_modules="all-linear"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=spec["learning_rate"])
    for row in tokens[: spec["batch_size"]]:
        ids = torch.tensor([row])
        (model(input_ids=ids, labels=ids).loss / spec["batch_size"]).backward()
    optimizer.step()
    print(time.time() - STARTED)


main(sys.argv[1])
