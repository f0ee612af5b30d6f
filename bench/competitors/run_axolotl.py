"""Axolotl's training from a configuration as its users write one, by what its command `axolotl train` calls.

Its defaults stay, but for kernels that need a card: padding, no gradient checkpointing. `curriculum_sampling` is its
word for rows in the file's order.
"""

import sys
from pathlib import Path
from typing import Any

import transformers
import yaml
from axolotl.cli.args import TrainerCliArgs
from axolotl.cli.config import load_cfg
from axolotl.cli.train import do_train
from peer import Job, Watch, prepare


def main(job: Job) -> None:
    prepare(job)
    _watch_every_trainer(job)
    config: dict[str, Any] = {
        "base_model": job.model_dir,
        "datasets": [
            {
                "path": job.train,
                "ds_type": "json",
                "type": "chat_template",
                "field_messages": "messages",
                "roles_to_train": ["assistant"],
            }
        ],
        "chat_template": "tokenizer_default",
        "dataset_prepared_path": f"{job.out}/prepared",
        "output_dir": f"{job.out}/adapter",
        "adapter": "lora",
        "lora_r": job.rank,
        "lora_alpha": job.alpha,
        "lora_dropout": 0.0,
        "lora_target_linear": True,
        # its own kernels, on by default, are Triton's and know only cards ("Torch not compiled with CUDA enabled")
        "lora_mlp_kernel": False,
        "lora_qkv_kernel": False,
        "lora_o_kernel": False,
        "sequence_len": job.max_length,
        "micro_batch_size": job.rows_per_batch,
        "gradient_accumulation_steps": job.accumulation,
        "num_epochs": job.num_epochs,
        "optimizer": "adamw_torch",
        "lr_scheduler": "constant",
        "learning_rate": job.learning_rate,
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "shuffle_merged_datasets": job.shuffle,
        "curriculum_sampling": not job.shuffle,
        "val_set_size": 0,
        "logging_steps": 1,
        "save_strategy": "no",
        "seed": job.seed,
        "use_tensorboard": False,
        "dataloader_pin_memory": False,
    }
    path = Path(job.out) / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    do_train(load_cfg(str(path)), TrainerCliArgs())


def _watch_every_trainer(job: Job) -> None:
    """Axolotl builds its trainer itself and takes no callbacks from outside."""
    build = transformers.Trainer.__init__

    def build_watched(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        self.add_callback(Watch(job))

    transformers.Trainer.__init__ = build_watched


if __name__ == "__main__":
    main(Job.load(sys.argv[1]))
