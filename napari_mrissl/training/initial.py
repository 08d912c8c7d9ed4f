"""Weights that a run starts from: kept in its folder, known by their sha256."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.volumes.atomic import write_atomically

if TYPE_CHECKING:
    import torch

    from napari_mrissl.training.run import Run

_FILE = "initial.safetensors"


def weights_file(source: str | Path) -> tuple[Path, str]:
    """The weights of a run, or a file of weights, and its sha256.

    Raises
    ------
    MrisslError
        If there are none, or they are no weights.
    """
    path = Path(source)
    if path.is_dir():
        path = path / WEIGHTS
    weights.check(path)
    return path, _sha256(path)


def keep(run: Run, path: Path) -> None:
    """Copy weights into a new run, so that it can go to another machine.

    Raises
    ------
    MrisslError
        If they are not those of its settings, or the disk refuses.
    """
    if _sha256(path) != run.settings.initial:
        raise MrisslError("has changed meanwhile", where=path)
    with open(path, "rb") as file:
        write_atomically(run.folder / _FILE, lambda target: shutil.copyfileobj(file, target))


def of(run: Run) -> dict[str, torch.Tensor] | None:
    """The weights that a run starts from, or None where it draws its own.

    Raises
    ------
    MrisslError
        If they are missing, others than the settings say, or trained on values that were
        scaled in another way.
    """
    if run.settings.initial is None:
        return None
    path = run.folder / _FILE
    if not path.is_file() or _sha256(path) != run.settings.initial:
        raise MrisslError(
            "are missing or others than the settings say",
            where="initial weights",
            expected=f"{_FILE} as it was when the run was made",
            remedy="make the run again",
        )
    state, card = weights.load(path)
    wanted = run.settings.data.preprocessing.model_dump(mode="json")
    weights.check_preprocessing(card, wanted, "initial weights")
    # Running statistics follow the new data at once, whatever was seen before.
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            tensor.zero_()
    return state


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error
