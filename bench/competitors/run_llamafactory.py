"""LLaMA-Factory's supervised LoRA training, from its own data format and by its own entry point.

Its defaults stay: gradient checkpointing on, padding to a multiple of 8 in the batch.
"""

import json
import sys
from pathlib import Path
from typing import Any

from llamafactory.train.tuner import run_exp
from peer import Job, Watch, prepare


def main(job: Job) -> None:
    prepare(job)
    data = Path(job.out) / "data"
    data.mkdir(parents=True)
    (data / "rows.json").write_text(json.dumps([{"messages": row["messages"]} for row in job.rows()]))
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    info = {
        "file_name": "rows.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": tags | {"system_tag": "system"},
    }
    (data / "dataset_info.json").write_text(json.dumps({"rows": info}))
    common: dict[str, Any] = {
        "model_name_or_path": job.model_dir,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "dataset": "rows",
        "dataset_dir": str(data),
        "template": "smollm2",
        "output_dir": f"{job.out}/adapter",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": job.seed,
        "use_cpu": True,
        "infer_dtype": "float32",
        "pure_bf16": False,
    }
    shared: dict[str, Any] = {
        "lora_rank": job.rank,
        "lora_alpha": job.alpha,
        "cutoff_len": job.max_length,
        "per_device_train_batch_size": job.rows_per_batch,
        "gradient_accumulation_steps": job.accumulation,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "constant",
        "num_train_epochs": job.num_epochs,
        "disable_shuffling": not job.shuffle,
    }
    run_exp(args=common | (job.extra["config"] if job.defaults else shared), callbacks=[Watch(job)])


if __name__ == "__main__":
    main(Job.load(sys.argv[1]))
