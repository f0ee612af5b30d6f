"""Which files an adapter is made of, by their names; what may not even be looked at is refused here.

A pickle is a program: who opens it runs it. So none is ever opened, whatever else it may be.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from core.errors import Invalid

CONFIG: Final = "adapter_config.json"
WEIGHTS: Final = "adapter_model.safetensors"
MAX_FILES: Final = 8
_ARCHIVE: Final = ".zip"
_PICKLES: Final = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz"})


def is_archive(name: str) -> bool:
    return name.lower().endswith(_ARCHIVE)


def check_given(names: Sequence[str]) -> None:
    """One archive, or the loose files. Raises `Invalid` (`pickle_refused`, `adapter_files_incomplete`)."""
    refuse_pickles(names)
    if any(is_archive(name) for name in names):
        if len(names) > 1:
            raise Invalid(
                "Give one archive (.zip) and nothing beside it, or the files themselves without an archive.",
                code="adapter_files_incomplete",
                param="file_ids",
            )
        return
    check_whole(names, what="files")


def refuse_pickles(names: Sequence[str]) -> None:
    """Raises `Invalid` (`pickle_refused`) for what only a pickle is called."""
    for name in names:
        if PurePosixPath(name.lower()).suffix in _PICKLES:
            raise Invalid(
                f"{name[:100]!r} may be a pickle. Opening a pickle runs whatever program its maker put into it, so "
                "none is opened here. Save the model again where it was made, with "
                f"model.save_pretrained(folder, safe_serialization=True), which writes {WEIGHTS}, and leave other "
                "files of the training out.",
                code="pickle_refused",
                param="file_ids",
                details={"file": name[:100]},
            )


def check_whole(names: Sequence[str], *, what: str) -> None:
    """Raises `Invalid` (`adapter_files_incomplete`)."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(
            f"There are several files {twice[0][:100]!r}. Give each file once.",
            code="adapter_files_incomplete",
            param="file_ids",
        )
    missing = [name for name in (CONFIG, WEIGHTS) if name not in names]
    if missing:
        has_whole_model = any(name.startswith(("model", "pytorch_model")) for name in names)
        hint = (
            " What is there looks like a whole model, and only the small weights of an adapter can be brought in."
            if has_whole_model
            else " Give the folder that PEFT's save_pretrained() wrote."
        )
        raise Invalid(
            f"Among the {what} there is no {' and no '.join(missing)}.{hint}",
            code="adapter_files_incomplete",
            param="file_ids",
            details={"missing": missing},
        )
