"""`python bench/serve_peft.py BASE TOKENS PROMPT ADAPTER…`: plain PEFT, one request after another.

All adapters are in memory before the clock starts; each request switches to its own and generates.
"""

import json
import os
import sys
import time

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    base, num_tokens, prompt, *adapters = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
    model = PeftModel.from_pretrained(plain, adapters[0], adapter_name="0").eval()
    for at, adapter in enumerate(adapters[1:], 1):
        model.load_adapter(adapter, adapter_name=str(at))
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
    )
    asked = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    length = {"max_new_tokens": int(num_tokens), "min_new_tokens": int(num_tokens), "do_sample": False}

    def answer(at: int) -> None:
        model.set_adapter(str(at))
        with torch.inference_mode():
            model.generate(**asked, **length, pad_token_id=tokenizer.eos_token_id)

    answer(0)
    started = time.monotonic()
    for at in range(len(adapters)):
        answer(at)
    seconds = time.monotonic() - started
    print(json.dumps({"tokens_per_second": len(adapters) * int(num_tokens) / seconds}))


if __name__ == "__main__":
    main()
