"""TRL's SFTTrainer with its defaults: gradient checkpointing on, padding; or with best-fit packing where asked for.

What is not its default is what all contestants share: float32, LoRA's shape, the rate, the order of the rows.
"""

import sys
from typing import Any

import torch
from datasets import Dataset
from peer import Job, Watch, exact_template, prepare
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer


def main(job: Job) -> None:
    prepare(job)
    tokenizer = AutoTokenizer.from_pretrained(job.model_dir)
    if not job.defaults:
        tokenizer.chat_template = exact_template(tokenizer.chat_template)
    model = AutoModelForCausalLM.from_pretrained(job.model_dir, dtype=torch.float32)
    rows = [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in job.rows()]
    common: dict[str, Any] = {
        "output_dir": job.out,
        "bf16": False,
        "use_cpu": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": job.seed,
    }
    shared: dict[str, Any] = {
        "max_length": job.max_length,
        "per_device_train_batch_size": job.rows_per_batch,
        "gradient_accumulation_steps": job.accumulation,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "constant",
        "num_train_epochs": job.num_epochs,
        "train_sampling_strategy": "random" if job.shuffle else "sequential",
        "packing": job.packing,
        "packing_strategy": "bfd",
    }
    lora = (
        LoraConfig(**job.extra["lora"], task_type="CAUSAL_LM")
        if job.defaults
        else LoraConfig(r=job.rank, lora_alpha=job.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    trainer = SFTTrainer(
        model,
        args=SFTConfig(**common, **(job.extra["config"] if job.defaults else shared)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[Watch(job)],
    )
    trainer.train()
    if job.save:
        trainer.model.save_pretrained(f"{job.out}/adapter")


if __name__ == "__main__":
    main(Job.load(sys.argv[1]))
