from dataclasses import replace
from pathlib import Path

import pytest

from core.workers import hardware
from core.workers.types import Device

TABLE = """\
0, GPU-5f1c, NVIDIA H100 80GB HBM3, 81559, 12034, 97
1, GPU-77aa, NVIDIA H100 80GB HBM3, 81559, 4, 0
"""
ONE = Device(index=0, uuid="GPU-5f1c", name="", memory_bytes=80 << 30, used_bytes=0, utilization=None)


def test_the_driver_is_asked_and_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.gpus() == []
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{TABLE}'\n")
    program.chmod(0o755)
    first, second = hardware.gpus()
    assert (first.index, first.memory_bytes, first.used_bytes, first.utilization) == (0, 81559 << 20, 12034 << 20, 0.97)
    assert second.uuid == "GPU-77aa"
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    assert hardware.gpus() == []


def test_what_the_driver_does_not_know_is_left_open() -> None:
    (device,) = hardware.parse("0, GPU-1, NVIDIA GB10, [N/A], [N/A], [N/A]\nNo devices were found\n")
    assert (device.memory_bytes, device.utilization) == (0, None)


@pytest.mark.parametrize(
    ("visible", "indexes"),
    [(None, [0, 1]), ("", []), ("1", [1]), ("1,0", [1, 0]), ("GPU-77", [1]), ("0,5,1", [0]), ("-1", []), (" 0 ", [0])],
)
def test_devices_are_hidden_as_cuda_hides_them(visible: str | None, indexes: list[int]) -> None:
    assert [device.index for device in hardware.chosen(hardware.parse(TABLE), visible)] == indexes


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA H100 80GB HBM3", "gpu:h100"),
        ("NVIDIA H100 PCIe", "gpu:h100"),
        ("NVIDIA H200", "gpu:h200"),
        ("NVIDIA B200", "gpu:b200"),
        ("NVIDIA A100-SXM4-80GB", "gpu:a100-80gb"),
        ("NVIDIA A40", "gpu:a40"),
        ("NVIDIA RTX A6000", "gpu:a6000"),
        ("NVIDIA A10G", "gpu:a10g"),
        ("NVIDIA L40S", "gpu:l40s"),
        ("Tesla T4", "gpu:t4"),
        ("Tesla V100-SXM2-16GB", "gpu:v100"),
        ("NVIDIA GeForce RTX 4090", "gpu:rtx-4090"),
        ("NVIDIA GeForce RTX 4080 SUPER", "gpu:rtx-4080-super"),
        ("NVIDIA Something New", "gpu:something-new"),
    ],
)
def test_a_device_has_the_key_of_its_price(name: str, key: str) -> None:
    assert hardware.key_of([replace(ONE, name=name)]) == key


def test_the_small_a100_has_another_price() -> None:
    assert hardware.key_of([replace(ONE, name="NVIDIA A100-PCIE-40GB", memory_bytes=40 << 30)]) == "gpu:a100-40gb"


def test_without_a_device_it_is_the_processor() -> None:
    assert hardware.key_of([]) == "cpu"
