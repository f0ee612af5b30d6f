"""What is trained answers the same where it is served; what is not what was trained is found, and named."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.inference.types import Proof
from core.training.methods import quantization_of
from core.training.spec import RunInput
from tests.worker.training.methods.every_method import METHODS, learned, prepare, rows
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_weights import read_adapter_weights
from worker.inference.proof import prove
from worker.inference.runtime import load_runtime
from worker.inference.scheduler import Scheduler
from worker.training import adapter_output, parity
from worker.training.adapter_output import Made
from worker.training.data.chat_format import ChatFormat
from worker.training.methods.model import TunableModel

SHIPPED_AS_ADAPTER = [name for name in METHODS if name != "full"]
ROWS = [one.tolist() for one in rows(2, 9, 30, 60)]


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    scheduler.start()
    yield scheduler
    scheduler.stop()


@pytest.fixture
def base(base_model_dir: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt, with a marker that names its weights."""
    folder = tmp_path / "base"
    shutil.copytree(base_model_dir, folder)
    mark(folder, "a" * 64)
    return folder


def mark(folder: Path, sha256: str) -> None:
    files = {"model.safetensors": {"sha256": sha256, "num_bytes": 1}}
    (folder / "tailorbird.json").write_text(json.dumps({"id": "tiny", "revision": "r1", "files": files}))


def ship(folder: Path, model: TunableModel, name: str, base: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    made = Made(
        model=model,
        run=RunInput(base_model="tiny", method=METHODS[name], base_model_dir=base),
        identity=parity.identity_of(base, ChatFormat.load(base)),
        compute_dtype=dtype,
        results={"best_step": 8, "steps": 8},
    )
    adapter_output.write(folder, made, model.adapter_tensors() | parity.answered(model, ROWS))
    return folder


def proved(
    scheduler: Scheduler, shipped: Path, base: Path, name: str = "lora", *, dtype: torch.dtype = torch.float32
) -> Proof:
    runtime = load_runtime(base, quantization_of(METHODS[name]))
    runtime._model.to(dtype)
    runtime.dtype = dtype
    adapter = read_adapter_weights(
        (shipped / adapter_output.WEIGHTS).read_bytes(),
        parse_adapter_config((shipped / adapter_output.CONFIG).read_bytes()),
        digest="d",
        base=runtime,
    )
    return prove(runtime, adapter, parity.read((shipped / parity.NAME).read_bytes()), scheduler.submit)


@pytest.mark.parametrize("name", SHIPPED_AS_ADAPTER)
def test_whatever_the_method_it_is_served_as_it_was_trained(
    scheduler: Scheduler, base: Path, tmp_path: Path, name: str
) -> None:
    shipped = ship(tmp_path / "adapter", learned(base, name), name, base)
    proof = proved(scheduler, shipped, base, name)
    assert (proof.is_passed, proof.code, proof.num_rows, proof.num_places) == (True, None, 4, 2 + 3 * 8)
    assert proof.max_difference is not None
    assert proof.max_difference < 1e-3
    assert proof.effect is not None
    assert proof.effect > 0.01


def test_a_changed_template_is_found(scheduler: Scheduler, base: Path, tmp_path: Path) -> None:
    shipped = ship(tmp_path / "adapter", learned(base, "lora"), "lora", base)
    path = base / "chat_template.jinja"
    path.write_text(path.read_text().replace("<|im_end|>\n", "<|im_end|>"))
    proof = proved(scheduler, shipped, base)
    assert (proof.is_passed, proof.code, proof.num_rows) == (False, "proof_template_differs", 0)
    assert "chat template" in (proof.reason or "")


def test_a_swapped_tokenizer_is_found(scheduler: Scheduler, base: Path, tmp_path: Path) -> None:
    shipped = ship(tmp_path / "adapter", learned(base, "lora"), "lora", base)
    path = base / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocab = tokenizer["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    path.write_text(json.dumps(tokenizer))
    assert proved(scheduler, shipped, base).code == "proof_tokenizer_differs"


def test_another_base_is_found(scheduler: Scheduler, base: Path, tmp_path: Path) -> None:
    shipped = ship(tmp_path / "adapter", learned(base, "lora"), "lora", base)
    mark(base, "b" * 64)
    assert proved(scheduler, shipped, base).code == "proof_base_differs"


def test_a_base_that_only_claims_to_be_the_same_is_found(scheduler: Scheduler, base: Path, tmp_path: Path) -> None:
    shipped = ship(tmp_path / "adapter", learned(base, "lora"), "lora", base)
    weights = load_file(base / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"] *= 1.5
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    assert proved(scheduler, shipped, base).code == "proof_answers_differ"


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_an_adapter_that_changes_nothing_is_found(scheduler: Scheduler, base: Path, tmp_path: Path, name: str) -> None:
    shipped = ship(tmp_path / "adapter", prepare(base, name), name, base)  # B is still zero
    proof = proved(scheduler, shipped, base)
    assert (proof.is_passed, proof.code) == (False, "proof_no_effect")
    assert proof.effect is not None
    assert proof.effect < proof.min_effect


def test_an_effect_that_the_shortest_row_does_not_show_is_found_in_the_others(
    scheduler: Scheduler, base: Path, tmp_path: Path
) -> None:
    model = learned(base, "lora")
    weights = load_file(base / "model.safetensors")
    embedded = weights["model.embed_tokens.weight"][ROWS[0]]
    seen = torch.nn.functional.normalize(embedded) * weights["model.layers.0.input_layernorm.weight"]
    blind, _ = torch.linalg.qr(seen.T)
    with torch.no_grad():
        for name, weight in model.trainable().items():
            if "lora_A" in name and "layers.0.self_attn.v_proj" in name:
                weight.sub_(weight @ blind @ blind.T)  # what this row brings to the layer comes to nothing
            elif "lora_B" in name and "layers.0.self_attn.v_proj" not in name:
                weight.zero_()
    proof = proved(scheduler, ship(tmp_path / "adapter", model, "lora", base), base)
    assert (proof.is_passed, proof.code) == (True, None)
    assert proof.effect is not None
    assert proof.effect > proof.min_effect


def test_weights_that_were_zeroed_after_training_are_found(scheduler: Scheduler, base: Path, tmp_path: Path) -> None:
    shipped = ship(tmp_path / "adapter", learned(base, "lora"), "lora", base)
    change(shipped, lambda name, tensor: tensor.zero_() if "lora_B" in name else None)
    assert proved(scheduler, shipped, base).code == "proof_no_effect"


def test_one_perturbed_weight_is_found(scheduler: Scheduler, base: Path, tmp_path: Path) -> None:
    shipped = ship(tmp_path / "adapter", learned(base, "lora"), "lora", base)
    change(shipped, lambda name, tensor: tensor[0, 0].add_(3) if "layers.0.mlp.up_proj.lora_B" in name else None)
    proof = proved(scheduler, shipped, base)
    assert (proof.is_passed, proof.code) == (False, "proof_answers_differ")
    assert proof.max_difference is not None
    assert proof.max_difference > proof.tolerance


def change(shipped: Path, spoil: Callable[[str, torch.Tensor], object]) -> None:
    path = shipped / adapter_output.WEIGHTS
    tensors = load_file(path)
    for name, tensor in tensors.items():
        spoil(name, tensor)
    save_file(tensors, path)


class TestInHalfTheBits:
    """Rounding to bfloat16 is let through, and what is not rounding is found, by what it does to the base alone."""

    @pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["served in float32", "served in bfloat16"])
    def served(self, request: pytest.FixtureRequest) -> torch.dtype:
        dtype: torch.dtype = request.param
        return dtype

    @pytest.fixture
    def shipped(self, base: Path, tmp_path: Path) -> Path:
        model = learned(base, "lora", dtype=torch.bfloat16)
        return ship(tmp_path / "adapter", model, "lora", base, dtype=torch.bfloat16)

    def test_what_is_only_rounded_passes(
        self, scheduler: Scheduler, base: Path, tmp_path: Path, served: torch.dtype
    ) -> None:
        for name in ("lora", "dora", "prompt_tuning", "qlora"):
            model = learned(base, name, dtype=torch.bfloat16)
            shipped = ship(tmp_path / name, model, name, base, dtype=torch.bfloat16)
            proof = proved(scheduler, shipped, base, name, dtype=served)
            assert (proof.is_passed, proof.code, proof.tolerance) == (True, None, 3.0), name
            assert proof.typical_difference is not None
            assert proof.typical_tolerance is not None
            assert 0.0005 < proof.typical_difference < 0.8 * proof.typical_tolerance, name

    @pytest.mark.parametrize("times", [2.0, 0.5])
    def test_an_adapter_at_another_strength_is_found(
        self, scheduler: Scheduler, base: Path, shipped: Path, served: torch.dtype, times: float
    ) -> None:
        path = shipped / adapter_output.CONFIG
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {"lora_alpha": config["lora_alpha"] * times}))
        self.is_found(proved(scheduler, shipped, base, dtype=served))

    def test_a_missing_layer_is_found(
        self, scheduler: Scheduler, base: Path, shipped: Path, served: torch.dtype
    ) -> None:
        change(shipped, lambda name, tensor: tensor.zero_() if "layers.1." in name and "lora_B" in name else None)
        self.is_found(proved(scheduler, shipped, base, dtype=served))

    def is_found(self, proof: Proof) -> None:
        assert (proof.is_passed, proof.code) == (False, "proof_answers_differ")
        assert proof.typical_difference is not None
        assert proof.typical_tolerance is not None
        assert proof.typical_difference > proof.typical_tolerance

    def test_a_changed_template_is_found(
        self, scheduler: Scheduler, base: Path, shipped: Path, served: torch.dtype
    ) -> None:
        path = base / "chat_template.jinja"
        path.write_text(path.read_text().replace("<|im_end|>\n", "<|im_end|>"))
        assert proved(scheduler, shipped, base, dtype=served).code == "proof_template_differs"

    def test_a_base_that_is_computed_otherwise_does_not_widen_the_bound(
        self, scheduler: Scheduler, base: Path, shipped: Path, served: torch.dtype
    ) -> None:
        """Else both would differ alike, and the one would excuse the other."""
        weights = load_file(base / "model.safetensors")
        weights["model.layers.1.mlp.down_proj.weight"] *= 3
        save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
        assert proved(scheduler, shipped, base, dtype=served).code == "proof_answers_differ"

    def test_without_the_bases_scores_the_bound_of_all_bases_is_left(
        self, scheduler: Scheduler, base: Path, tmp_path: Path, served: torch.dtype
    ) -> None:
        model = learned(base, "pissa", dtype=torch.bfloat16)  # what it learns changes the base
        shipped = ship(tmp_path / "pissa", model, "pissa", base, dtype=torch.bfloat16)
        proof = proved(scheduler, shipped, base, "pissa", dtype=served)
        assert (proof.is_passed, proof.tolerance, proof.typical_tolerance) == (True, 3.0, None)


def test_what_is_compared_is_the_same_file_for_the_same_training(base: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        ship(tmp_path / name, learned(base, "lora"), "lora", base)
    assert (tmp_path / "one" / parity.NAME).read_bytes() == (tmp_path / "other" / parity.NAME).read_bytes()
