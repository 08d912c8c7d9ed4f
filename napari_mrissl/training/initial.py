"""Weights that a run starts from: kept in its folder, known by their sha256."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.networks.diffusion_cards import refuse_frozen
from napari_mrissl.networks.unet_layout import size_of
from napari_mrissl.networks.weight_library import DEFAULT, names, weights_named
from napari_mrissl.pretext.registry import TASKS
from napari_mrissl.training.building import checked
from napari_mrissl.training.committed import exported
from napari_mrissl.training.layout import WEIGHTS
from napari_mrissl.volumes.atomic import write_atomically

if TYPE_CHECKING:
    import torch

    from napari_mrissl.training.run import Run
    from napari_mrissl.training.settings import RunSettings

_FILE = "initial.safetensors"
_BACKBONE = "backbone."


def weights_file(source: str | Path) -> tuple[Path, str]:
    """The file of weights that a name, a run's folder or a file stands for, and its sha256.

    Raises
    ------
    MrisslError
        If there are none, or they are no weights.
    """
    if isinstance(source, str) and (source == DEFAULT or source in names()):
        file = weights_named(source)
        return file.path, file.identity
    path = Path(source)
    if path.is_dir():
        path = exported(path) or path / WEIGHTS
    weights.check(path)
    return path, _sha256(path)


def remarks(path: Path, settings: RunSettings) -> tuple[str, ...]:
    """What is to be said of weights before a run with these settings starts from them.

    Raises
    ------
    MrisslError
        If they are of a network of another size, or were trained on values that were scaled in
        another way. The latter is a remark only where one of both paints its own images.
    """
    return _fitting(weights.read_card(path), weights.read_shapes(path), settings)


def begun_from(settings: RunSettings, path: Path, sha256: str) -> RunSettings:
    """Settings of a run that begins from weights.

    A method that builds on another one's network takes its shape over from the weights' card.

    Raises
    ------
    MrisslError
        If the method needs weights of another method.
    """
    info = TASKS.get(settings.method)
    task = dict(settings.task)
    if info is not None and info.begins_from:
        card = weights.read_card(path)
        of_card = card.get("task")
        backbone = of_card.get("backbone") if isinstance(of_card, Mapping) else None
        if card.get("method") != info.begins_from or not isinstance(backbone, Mapping):
            raise MrisslError(
                f"are of the method {str(card.get('method') or 'none')[:40]}",
                where="initial weights",
                expected=f"a run of the method {info.begins_from}",
            )
        chosen = checked(info.settings, {**task, "backbone": dict(backbone)}, "initial weights")
        if chosen.begins_anew:
            raise MrisslError(
                f"{info.name} with these settings uses no other network",
                where="initial weights",
                remedy="leave them out",
            )
        task = chosen.model_dump(mode="json")
    return settings.model_copy(update={"initial": sha256, "task": task})


def check_needed(settings: RunSettings) -> None:
    """Refuse a run without weights of a method that cannot begin from new ones.

    Raises
    ------
    MrisslError
        If it is one.
    """
    info = TASKS.get(settings.method)
    if info is None or not info.begins_from or settings.initial is not None:
        return
    if not checked(info.settings, settings.task, f"{info.name} settings").begins_anew:
        raise MrisslError(
            f"{info.name} has no weights to begin from",
            where="initial weights",
            expected=f"a run of the method {info.begins_from}",
            remedy="give one with --init, or as the weights to begin with",
        )


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


def card_of(run: Run) -> dict[str, Any] | None:
    """The card of the weights that a run starts from; None where it draws its own.

    Raises
    ------
    MrisslError
        If they cannot be read.
    """
    path = run.folder / _FILE
    return weights.read_card(path) if path.exists() else None


def of(run: Run) -> dict[str, torch.Tensor] | None:
    """The weights that a run starts from, or None where it draws its own.

    Tensors of a plain U-Net by itself, as it is exported, imported and shipped, get the names
    that they have in a run.

    Raises
    ------
    MrisslError
        If they are missing, others than the settings say, of another size, or trained on values
        that were scaled in another way.
    """
    check_needed(run.settings)
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
    _fitting(card, {name: tuple(tensor.shape) for name, tensor in state.items()}, run.settings)
    if not _of_run(state):
        state = {_BACKBONE + name: tensor for name, tensor in state.items()}
    # Running statistics follow the new data at once, whatever was seen before.
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            tensor.zero_()
    return state


def _fitting(
    card: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], settings: RunSettings
) -> tuple[str, ...]:
    """Remarks on weights; raises where they cannot be begun from."""
    refuse_frozen(card, "initial weights")
    if not _of_run(shapes):
        _check_size(shapes, settings)
    wanted = settings.data.preprocessing.model_dump(mode="json")
    try:
        weights.check_preprocessing(card, wanted, "initial weights")
    except MrisslError:
        if not (_paints(settings.method) or _paints(card.get("method"))):
            raise
        return ("initial weights name another scale of grey values; painted images have their own",)
    return ()


def _paints(method: object) -> bool:
    info = TASKS.get(method) if isinstance(method, str) else None
    return info is not None and info.paints


def _check_size(shapes: Mapping[str, tuple[int, ...]], settings: RunSettings) -> None:
    size = size_of(shapes, "initial weights")
    backbone = settings.task.get("backbone")
    chosen = backbone if isinstance(backbone, Mapping) else {}
    given = {"name": "unet", "width": size.width, "depth": size.depth + 1}
    if {name: chosen.get(name) for name in given} != given:
        raise MrisslError(
            f"are of a plain U-Net of width {size.width} and depth {size.depth + 1}",
            where="initial weights",
            expected="the backbone of the run",
            remedy="--set " + " ".join(f"backbone.{name}={value}" for name, value in given.items()),
        )


def _of_run(state: Mapping[str, object]) -> bool:
    return any(name.startswith(_BACKBONE) for name in state)


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MrisslError(
            f"could not be read ({error.strerror or type(error).__name__})", where=path
        ) from error
