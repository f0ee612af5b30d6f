"""The one file for llama.cpp, loaded by a real llama.cpp: it answers as we do."""

import queue
import warnings
from pathlib import Path

import pytest
import torch
import xllamacpp
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from core.exports.child import ADAPTER, PACKED, SPEC, PackSpec
from core.exports.forms import ModelExportFormat
from core.inference.types import DeltaLine, Sampling, StreamLine
from core.jobs.exit_codes import ExitCode
from tests.worker.inference.tiny_models import load_adapter
from worker.export import run
from worker.inference.generation import Generation
from worker.inference.runtime import BaseRuntime, load_runtime
from worker.inference.scheduler import Scheduler

QUESTIONS = ("What is the capital of France?", "Name a colour of the sky.", "What is two plus two?")
NUM_TOKENS = 16


def make_adapter(base: Path, folder: Path) -> None:
    """Changes every answer a little, and none beyond recognition."""
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads what transformers renamed
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
            LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    model.save_pretrained(folder)


def ours(runtime: BaseRuntime, adapter: Path) -> list[str]:
    weights = load_adapter(runtime, adapter)
    scheduler = Scheduler()
    scheduler.start()
    found = []
    for question in QUESTIONS:
        lines: queue.Queue[StreamLine] = queue.Queue()
        prompt = runtime.chat_format.render_prompt([{"role": "user", "content": question}])
        wanted = Sampling(temperature=0, max_tokens=NUM_TOKENS)
        scheduler.submit(Generation(runtime, prompt, wanted, lines.put, weights))
        text = ""
        while isinstance(line := lines.get(timeout=120), DeltaLine):
            text += line.text
        found.append(text)
    scheduler.stop()
    return found


def theirs(model: Path) -> list[str]:
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 512, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    server = xllamacpp.Server(params)
    asked = [
        {"messages": [{"role": "user", "content": question}], "max_tokens": NUM_TOKENS, "temperature": 0}
        for question in QUESTIONS
    ]
    return [str(server.handle_chat_completions(one)["choices"][0]["message"]["content"]) for one in asked]


@pytest.mark.model
def test_a_real_llama_cpp_answers_as_we_do(tmp_path: Path, bundled_model: Path) -> None:
    (tmp_path / ADAPTER).mkdir()
    make_adapter(bundled_model, tmp_path / ADAPTER)
    spec = PackSpec(
        format=ModelExportFormat.GGUF,
        base_model="smollm2-135m-instruct",
        base_model_dir=bundled_model,
        method="lora",
        quantization=None,
        # as somebody may well call it
        model_name="--helper",
    )
    (tmp_path / SPEC).write_text(spec.model_dump_json())
    assert run.run(tmp_path, lambda: False) is ExitCode.DONE, (tmp_path / "events.jsonl").read_text()
    assert {path.name for path in (tmp_path / PACKED).iterdir()} == {"model.gguf", "Modelfile"}
    described = (tmp_path / PACKED / "Modelfile").read_text()
    assert 'PARAMETER stop "<|im_end|>"' in described
    assert '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n' in described

    runtime = load_runtime(bundled_model, None)
    answers = ours(runtime, tmp_path / ADAPTER)
    assert answers == theirs(tmp_path / PACKED / "model.gguf")
