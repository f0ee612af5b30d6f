"""What strangers bring: adapters that plain PEFT made, and everything that is refused of such files."""

import io
import json
import pickle
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from core.base_models import service as base_models
from core.exports.forms import KIND
from core.inference.types import Proof
from core.jobs.exit_codes import ExitCode
from core.kit.hashing import sha256_file
from core.model_imports.child import ADAPTER, REPORT, SPEC, GivenFile, ImportReport, ImportSpec
from core.model_imports.lineage import BaseEvidence
from tests.worker.inference.tiny_models import load_adapter, make_adapter, make_home, make_prompt
from worker.inference import proof
from worker.inference.runtime import load_runtime
from worker.inference.scheduler import Scheduler
from worker.model_import import package, run
from worker.training import parity
from worker.training.data.chat_format import ChatFormat

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MAKE: dict[str, dict[str, Any]] = {
    "lora": {"seed": 1},
    "rslora": {"seed": 2, "rank": 8, "rslora": True},
    "dora": {"seed": 3, "dora": True},
}
METHODS = [*MAKE, "prompt_tuning"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    home = make_home(tmp_path_factory.mktemp("home"))
    return home / "base_models" / base_models.default_base_model().id


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders as PEFT's `save_pretrained` leaves them."""
    root = tmp_path_factory.mktemp("made")
    found = {method: make_adapter(base, root / method, **changes) for method, changes in MAKE.items()}
    return found | {"prompt_tuning": make_prompt(base, root / "prompt_tuning", seed=4)}


@pytest.fixture
def theirs(made: dict[str, Path], tmp_path: Path) -> Path:
    """A LoRA that a test may spoil."""
    return Path(shutil.copytree(made["lora"], tmp_path / "theirs"))


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    scheduler.start()
    yield scheduler
    scheduler.stop()


def spec_of(folder: Path, base: Path, given: list[Path], **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    told = {
        "base_model": "tiny",
        "base_model_dir": base,
        "files": tuple(GivenFile(name=path.name, path=path) for path in given),
        "is_base_confirmed": True,
        "quantization": None,
        "num_threads": 1,
    }
    (folder / SPEC).write_text(ImportSpec.model_validate(told | changes).model_dump_json())
    return folder


def loose(theirs: Path) -> list[Path]:
    return [path for path in sorted(theirs.iterdir()) if path.name != "README.md"]


def zipped(theirs: Path, archive: Path, *, below: str = "mine/") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in theirs.iterdir():
            packed.write(path, below + path.name)
    return archive


def imported(folder: Path) -> ImportReport:
    assert run.run(folder, lambda: False) is ExitCode.DONE, (folder / "events.jsonl").read_text()
    return ImportReport.model_validate_json((folder / REPORT).read_bytes())


def refusal(folder: Path) -> tuple[str, str]:
    """Its code and its words; nothing is left to be published then."""
    assert run.run(folder, lambda: False) is ExitCode.USER_ERROR, (folder / "events.jsonl").read_text()
    assert not (folder / REPORT).exists()
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    [error] = [line for line in lines if line["type"] == "error"]
    return error["code"], error["message"]


def proved(base: Path, adapter: Path, scheduler: Scheduler, quantization: Any = None) -> Proof:  # noqa: ANN401
    runtime = load_runtime(base, quantization)
    reference = parity.read((adapter / parity.NAME).read_bytes())
    return proof.prove(runtime, load_adapter(runtime, adapter), reference, scheduler.submit)


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def reconfigure(theirs: Path, **changes: object) -> None:
    path = theirs / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestWhatIsBrought:
    @pytest.mark.parametrize("method", METHODS)
    def test_is_checked_and_what_serves_it_answers_as_plain_peft_does(
        self, base: Path, made: dict[str, Path], method: str, tmp_path: Path, scheduler: Scheduler
    ) -> None:
        folder = spec_of(tmp_path / "run", base, loose(made[method]))
        report = imported(folder)
        assert (report.method, report.quantization) == (method, None)
        assert report.base_evidence is BaseEvidence.CONFIRMED
        assert report.weights_sha256 == sha256_file(made[method] / WEIGHTS)
        found = proved(base, folder / ADAPTER, scheduler)
        assert found.is_passed, found.reason
        assert (found.training_dtype, found.tolerance) == ("float32", proof.TOLERANCES["float32"])
        assert found.num_places == parity.MAX_ROWS * parity.NUM_PLACES
        assert found.effect is not None
        assert found.effect > 0.1

    def test_a_runtime_that_computes_something_else_is_found(
        self, base: Path, made: dict[str, Path], tmp_path: Path, scheduler: Scheduler
    ) -> None:
        folder = spec_of(tmp_path / "run", base, loose(made["lora"]))
        imported(folder)
        reconfigure(folder / ADAPTER, lora_alpha=4)  # served at half its strength
        assert proved(base, folder / ADAPTER, scheduler).code == "proof_answers_differ"

    def test_an_adapter_that_changes_nothing_does_not_pass(
        self, base: Path, theirs: Path, tmp_path: Path, scheduler: Scheduler
    ) -> None:
        rewrite(theirs / WEIGHTS, without_effect)
        folder = spec_of(tmp_path / "run", base, loose(theirs))
        imported(folder)
        assert proved(base, folder / ADAPTER, scheduler).code == "proof_no_effect"

    def test_one_that_learned_on_a_base_in_four_bits_is_compared_on_such(
        self, base: Path, made: dict[str, Path], tmp_path: Path, scheduler: Scheduler
    ) -> None:
        folder = spec_of(tmp_path / "run", base, loose(made["lora"]), quantization="nf4")
        report = imported(folder)
        assert (report.method, report.quantization) == ("qlora", "nf4")
        assert proved(base, folder / ADAPTER, scheduler, "nf4").is_passed
        assert not proved(base, folder / ADAPTER, scheduler).is_passed

    def test_an_archive_of_the_folder_is_the_same_as_its_files(
        self, base: Path, made: dict[str, Path], tmp_path: Path
    ) -> None:
        one = spec_of(tmp_path / "one", base, [zipped(made["dora"], tmp_path / "a.zip")])
        other = spec_of(tmp_path / "other", base, loose(made["dora"]))
        assert imported(one) == imported(other)
        for name in (CONFIG, WEIGHTS, parity.NAME):
            assert (one / ADAPTER / name).read_bytes() == (other / ADAPTER / name).read_bytes()

    def test_nothing_of_the_stranger_is_kept_but_numbers_and_settings(
        self, base: Path, theirs: Path, tmp_path: Path
    ) -> None:
        reconfigure(theirs, base_model_name_or_path="/home/eve/secret/base", revision="evil")
        tensors = load_file(theirs / WEIGHTS)
        save_file(tensors, theirs / WEIGHTS, metadata={"note": "from eve/secret"})
        folder = spec_of(tmp_path / "run", base, loose(theirs))
        assert imported(folder).named_base == "/home/eve/secret/base"
        assert {path.name for path in (folder / ADAPTER).iterdir()} == {CONFIG, WEIGHTS, parity.NAME, "manifest.json"}
        assert b"eve/secret" not in (folder / ADAPTER / CONFIG).read_bytes() + (folder / ADAPTER / WEIGHTS).read_bytes()
        kept = load_file(folder / ADAPTER / WEIGHTS)
        assert kept.keys() == tensors.keys()
        assert all(torch.equal(kept[name], tensor) for name, tensor in tensors.items())

    def test_the_process_that_reads_it_ends_as_its_supervisor_expects(
        self, base: Path, made: dict[str, Path], tmp_path: Path
    ) -> None:
        folder = spec_of(tmp_path / "run", base, loose(made["lora"]))
        ended = subprocess.run(
            [sys.executable, "-m", "worker.model_import", str(folder)], capture_output=True, check=False
        )
        assert ended.returncode == ExitCode.DONE, ended.stderr.decode()
        assert (folder / REPORT).exists()


class TestItsBase:
    def test_must_be_said_by_somebody(self, base: Path, theirs: Path, tmp_path: Path) -> None:
        code, words = refusal(spec_of(tmp_path / "run", base, loose(theirs), is_base_confirmed=False))
        assert code == "base_not_confirmed"
        assert "confirm_base" in words

    def test_is_proved_by_the_manifest_of_an_export(self, base: Path, theirs: Path, tmp_path: Path) -> None:
        put_manifest(theirs, base)
        report = imported(spec_of(tmp_path / "run", base, loose(theirs), is_base_confirmed=False))
        assert report.base_evidence is BaseEvidence.MANIFEST
        assert report.export is not None
        assert (report.export.export_id, report.export.model_id) == ("export_theirs", "ft:theirs")

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"base_model": {"name": "Another", "weights_sha256": "0" * 64}}, "weights"),
            ({"tokenizer_sha256": "0" * 64}, "tokenizer"),
            ({"template_sha256": "0" * 64}, "chat template"),
        ],
    )
    def test_that_is_another_in_the_manifest_is_refused_whatever_is_confirmed(
        self, base: Path, theirs: Path, tmp_path: Path, change: dict[str, object], what: str
    ) -> None:
        put_manifest(theirs, base, **change)
        code, words = refusal(spec_of(tmp_path / "run", base, loose(theirs)))
        assert code == "adapter_base_mismatch"
        assert f"the {what} of tiny" in words

    def test_with_other_weights_than_the_manifest_was_written_for(
        self, base: Path, theirs: Path, tmp_path: Path
    ) -> None:
        put_manifest(theirs, base)
        rewrite(theirs / WEIGHTS, doubled)
        assert refusal(spec_of(tmp_path / "run", base, loose(theirs)))[0] == "adapter_package_changed"

    def test_of_other_shapes_is_refused_tensor_by_tensor(self, base: Path, theirs: Path, tmp_path: Path) -> None:
        other = Path(shutil.copytree(base, tmp_path / "other"))
        config = LlamaConfig.from_pretrained(other)
        config.num_key_value_heads = config.num_attention_heads
        LlamaForCausalLM(config).save_pretrained(other)
        code, words = refusal(spec_of(tmp_path / "run", other, loose(theirs)))
        assert code == "adapter_invalid"
        assert "has the shape" in words


def put_manifest(theirs: Path, base: Path, **changes: object) -> None:
    identity = parity.identity_of(base, ChatFormat.load(base))
    told: dict[str, object] = {
        "kind": KIND,
        "export_id": "export_theirs",
        "model": {"id": "ft:theirs", "quantization": None, "made_at": "2026-01-01T00:00:00+00:00"},
        "base_model": {"id": "tiny", "weights_sha256": identity.base_sha256},
        "tokenizer_sha256": identity.tokenizer_sha256,
        "template_sha256": identity.template_sha256,
        "files": {name: {"sha256": sha256_file(theirs / name)} for name in (CONFIG, WEIGHTS)},
    }
    (theirs / "manifest.json").write_text(json.dumps(told | changes))


def without_effect(tensors: dict[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor.zero_()


def doubled(tensors: dict[str, torch.Tensor]) -> None:
    for tensor in tensors.values():
        tensor.mul_(2)


def lacking(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[min(tensors)]


def beside(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.lm_head.lora_A.weight"] = torch.zeros(4, 64)


def wrong_shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors[min(tensors)] = torch.zeros(4, 65)


def not_finite(tensors: dict[str, torch.Tensor]) -> None:
    tensors[min(tensors)][0, 0] = float("nan")


def whole_numbers(tensors: dict[str, torch.Tensor]) -> None:
    tensors[min(tensors)] = tensors[min(tensors)].to(torch.int64)


def overflowing(tensors: dict[str, torch.Tensor]) -> None:
    for tensor in tensors.values():
        tensor.fill_(3e38)


class TestItsTensors:
    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lacking, "lacks a tensor"),
            (beside, "does not belong"),
            (wrong_shape, "has the shape (4, 65)"),
            (not_finite, "not finite"),
            (whole_numbers, "has the type torch.int64"),
            (overflowing, "not finite"),
        ],
    )
    def test_that_do_not_fit_are_refused(
        self,
        base: Path,
        theirs: Path,
        tmp_path: Path,
        spoil: Callable[[dict[str, torch.Tensor]], None],
        words: str,
    ) -> None:
        rewrite(theirs / WEIGHTS, spoil)
        code, said = refusal(spec_of(tmp_path / "run", base, loose(theirs)))
        assert code == "adapter_invalid"
        assert words in said

    @pytest.mark.parametrize("content", [b"", b"\xff" * 100, (9 << 20).to_bytes(8, "little") + b" " * (9 << 20)])
    def test_in_no_safetensors_file_are_refused_before_they_are_parsed(
        self, base: Path, theirs: Path, tmp_path: Path, content: bytes
    ) -> None:
        (theirs / WEIGHTS).write_bytes(content)
        assert refusal(spec_of(tmp_path / "run", base, loose(theirs)))[0] == "adapter_invalid"


class TestItsConfiguration:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"r": 100_000}, "from 1 to 256"),
            ({"learn_more": True}, "settings that are not known: learn_more"),
            ({"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}}, "code of its own"),
            ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
            ({"target_modules": ".*"}, "not a list of layer names"),
            ({"init_lora_weights": "pissa"}, "started as 'pissa'"),
            ({"peft_type": "IA3"}, "its type is 'IA3'"),
        ],
    )
    def test_that_is_not_served_is_refused(
        self, base: Path, theirs: Path, tmp_path: Path, changes: dict[str, object], words: str
    ) -> None:
        reconfigure(theirs, **changes)
        code, said = refusal(spec_of(tmp_path / "run", base, loose(theirs)))
        assert code == "adapter_unsupported"
        assert words in said


class Owned:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return exec, ("raise SystemExit('a pickle was opened')",)


class TestItsFiles:
    @pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "state.PKL", "training_args.bin"])
    def test_that_may_be_pickles_are_refused_by_name_and_not_opened(
        self, base: Path, theirs: Path, tmp_path: Path, name: str
    ) -> None:
        (theirs / name).write_bytes(pickle.dumps(Owned()))
        loose_code, words = refusal(spec_of(tmp_path / "loose", base, loose(theirs)))
        packed_code, _ = refusal(spec_of(tmp_path / "packed", base, [zipped(theirs, tmp_path / "a.zip")]))
        assert (loose_code, packed_code) == ("pickle_refused", "pickle_refused")
        assert "safe_serialization=True" in words

    def test_that_lack_one_are_refused_with_its_name(self, base: Path, theirs: Path, tmp_path: Path) -> None:
        (theirs / WEIGHTS).rename(theirs / "model.safetensors")
        code, words = refusal(spec_of(tmp_path / "run", base, loose(theirs)))
        assert code == "adapter_files_incomplete"
        assert f"no {WEIGHTS}" in words
        assert "looks like a whole model" in words

    @pytest.mark.parametrize("name", ["../../evil.json", "/etc/evil.json", "..\\evil.json", "C:\\evil.json"])
    def test_that_point_out_of_their_archive_are_refused(
        self, base: Path, theirs: Path, tmp_path: Path, name: str
    ) -> None:
        archive = zipped(theirs, tmp_path / "a.zip")
        with zipfile.ZipFile(archive, "a") as packed:
            packed.writestr(name, "{}")
        code, words = refusal(spec_of(tmp_path / "run", base, [archive]))
        assert code == "archive_unfit"
        assert "points out of it" in words
        assert not list(tmp_path.rglob("evil.json"))

    def test_that_are_links_are_refused(self, base: Path, theirs: Path, tmp_path: Path) -> None:
        archive = zipped(theirs, tmp_path / "a.zip")
        link = zipfile.ZipInfo("mine/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(archive, "a") as packed:
            packed.writestr(link, "/etc/passwd")
        assert refusal(spec_of(tmp_path / "run", base, [archive]))[0] == "archive_unfit"

    def test_that_unpack_without_end_are_refused_unread(self, base: Path, theirs: Path, tmp_path: Path) -> None:
        archive = tmp_path / "bomb.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(theirs / CONFIG, CONFIG)
            packed.writestr(WEIGHTS, b"\0" * (64 << 20))
        code, words = refusal(spec_of(tmp_path / "run", base, [archive]))
        assert code == "archive_unfit"
        assert "as no weights do" in words
        assert sum(path.stat().st_size for path in (tmp_path / "run").iterdir()) < 1 << 20

    def test_that_are_larger_than_their_archive_says_are_not_unpacked(
        self, base: Path, theirs: Path, tmp_path: Path
    ) -> None:
        content = zipped(theirs, tmp_path / "a.zip").read_bytes()
        told = zipfile.ZipFile(io.BytesIO(content)).getinfo(f"mine/{WEIGHTS}")
        size = told.file_size.to_bytes(4, "little")
        (tmp_path / "a.zip").write_bytes(content.replace(size, (9).to_bytes(4, "little")))
        assert refusal(spec_of(tmp_path / "run", base, [tmp_path / "a.zip"]))[0] in {"archive_unfit", "archive_broken"}

    def test_twice_in_an_archive_or_in_two_folders_are_refused(self, base: Path, theirs: Path, tmp_path: Path) -> None:
        twice = zipped(theirs, tmp_path / "twice.zip", below="")
        with zipfile.ZipFile(twice, "a") as packed, pytest.warns(UserWarning, match="Duplicate"):
            packed.write(theirs / CONFIG, CONFIG)
        assert refusal(spec_of(tmp_path / "one", base, [twice]))[0] == "adapter_files_incomplete"
        two = zipped(theirs, tmp_path / "two.zip")
        with zipfile.ZipFile(two, "a") as packed:
            packed.write(theirs / CONFIG, f"yours/{CONFIG}")
        assert refusal(spec_of(tmp_path / "other", base, [two]))[0] == "archive_unfit"

    def test_in_an_archive_that_is_none_are_refused(self, base: Path, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing else")
        assert refusal(spec_of(tmp_path / "run", base, [tmp_path / "a.zip"]))[0] == "archive_broken"

    def test_that_are_too_large_are_refused_before_they_are_read(
        self, base: Path, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(package.MAX_BYTES, WEIGHTS, 1000)
        for number, given in enumerate((loose(theirs), [zipped(theirs, tmp_path / "a.zip")])):
            assert refusal(spec_of(tmp_path / f"run-{number}", base, given))[0] == "adapter_too_large"


def test_who_is_told_to_stop_leaves_nothing_to_publish(base: Path, theirs: Path, tmp_path: Path) -> None:
    folder = spec_of(tmp_path / "run", base, loose(theirs))
    assert run.run(folder, lambda: True) is ExitCode.INTERRUPTED
    assert not (folder / REPORT).exists()
