"""The competitors' own environments: `python bench/competitors/environments.py [NAME ...]` builds `.bench/NAME`.

Each is a virtual environment of the packages that NAME.txt pins, after torch, which comes first and by itself as in the
product's own (each machine gets the build for its hardware). A rebuilt NAME.txt rebuilds its environment.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".bench"
NAMES = ("hf", "trl", "llamafactory", "axolotl", "data")
_WITHOUT_TORCH = ("data",)
_HERE = Path(__file__).parent
_READY = ".installed"
# LLaMA-Factory imports torchaudio for data that holds sound. The registry's wheel of it is for CUDA and does not load
# beside torch for processors ("Could not load this library: _torchaudio.abi3.so"), so an empty module stands in.
_EMPTY_MODULES = {"llamafactory": ("torchaudio",)}


def python_of(name: str) -> Path:
    """The interpreter of a competitor's environment, which is made if it is not there or not as pinned."""
    folder = HOME / name
    wanted = _fingerprint(name)
    marker = folder / _READY
    if not marker.exists() or marker.read_text() != wanted:
        _build(name, folder)
        marker.write_text(wanted)
    return folder / "bin" / "python"


def _build(name: str, folder: Path) -> None:
    print(f"Making the environment of {name} …", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    if name not in _WITHOUT_TORCH:
        _pip(folder, [_torch()])
    _pip(folder, ["--no-deps", "-r", str(_HERE / f"{name}.txt")])
    for module in _EMPTY_MODULES.get(name, ()):
        (packages,) = (folder / "lib").glob("python*/site-packages")
        (packages / f"{module}.py").write_text('"""Stands in for a package that has no build for this machine."""\n')


def _pip(folder: Path, arguments: Sequence[str]) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, *arguments], check=True)


def _torch() -> str:
    """The product's own pin: all contestants compute with the same torch."""
    found = re.search(r"torch==[0-9.]+", (ROOT / "pyproject.toml").read_text())
    if found is None:
        raise RuntimeError("pyproject.toml does not pin torch.")
    return found.group()


def _fingerprint(name: str) -> str:
    pinned = (_HERE / f"{name}.txt").read_text() + _torch() + repr(_EMPTY_MODULES.get(name))
    return hashlib.sha256(pinned.encode()).hexdigest()


if __name__ == "__main__":
    for wanted_name in sys.argv[1:] or NAMES:
        print(f"{wanted_name}: {python_of(wanted_name)}")
