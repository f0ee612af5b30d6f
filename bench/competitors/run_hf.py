"""Plain transformers: its Trainer over a PEFT model, with the padding collator that its documentation uses."""

import sys
from typing import Any

import torch
from peer import IGNORED, Job, Watch, exact_template, prepare
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)


def main(job: Job) -> None:
    prepare(job)
    tokenizer = AutoTokenizer.from_pretrained(job.model_dir)
    tokenizer.chat_template = exact_template(tokenizer.chat_template)
    rows = [_tokenize(tokenizer, row["messages"], job.max_length) for row in job.rows()]
    model = AutoModelForCausalLM.from_pretrained(job.model_dir, dtype=torch.float32)
    lora = LoraConfig(r=job.rank, lora_alpha=job.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = Trainer(
        model=get_peft_model(model, lora),
        args=TrainingArguments(
            output_dir=job.out,
            per_device_train_batch_size=job.rows_per_batch,
            gradient_accumulation_steps=job.accumulation,
            learning_rate=job.learning_rate,
            lr_scheduler_type="constant",
            num_train_epochs=job.num_epochs,
            train_sampling_strategy="random" if job.shuffle else "sequential",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            seed=job.seed,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED),
        callbacks=[Watch(job)],
    )
    trainer.train()
    if job.save:
        trainer.model.save_pretrained(f"{job.out}/adapter")


def _tokenize(tokenizer: Any, messages: list[dict[str, str]], max_length: int) -> dict[str, list[int]]:
    ids = tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    labels = [IGNORED] * len(prompt) + ids[len(prompt) :]
    return {"input_ids": ids[:max_length], "labels": labels[:max_length], "attention_mask": [1] * len(ids[:max_length])}


if __name__ == "__main__":
    main(Job.load(sys.argv[1]))
