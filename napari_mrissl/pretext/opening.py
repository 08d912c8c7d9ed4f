"""The network of a method with its own settings, from a run or a file of weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.pretext.info import TaskInfo

WEIGHTS = "weights.safetensors"
"""The file of weights in the folder of a run."""

_Settings = TypeVar("_Settings", bound=BaseModel)
_Network = TypeVar("_Network", bound=torch.nn.Module)


def opened(
    source: str | Path,
    info: TaskInfo,
    kind: type[_Settings],
    build: Callable[[_Settings], _Network],
    device: str = "cpu",
) -> tuple[_Settings, _Network, dict[str, Any]]:
    """Settings, network and card of weights; torch's generator is left as it was.

    Parameters
    ----------
    source
        The folder of a run, or a file of weights.
    info
        Of the method that the weights must be of.
    kind
        Of the method's settings.
    build
        The network of such settings.
    device
        Where the network goes.

    Raises
    ------
    MrisslError
        If there are no weights yet, or they are of another method, or not those of their card.
    """
    path = file_of(source)
    state, card = weights.load(path, device)
    if card.get("method") != info.name:
        raise MrisslError(
            f"weights of {card.get('method') or 'an unknown method'}",
            where=path,
            expected=f"weights of {info.name}",
        )
    try:
        settings = kind.model_validate(card.get("task"))
    except ValidationError as error:
        raise MrisslError("settings in the card are damaged", where=path) from error
    with torch.random.fork_rng(devices=[]):
        network = build(settings)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise MrisslError("weights are not those of their card", where=path) from error
    return settings, network.to(device).float(), card


def file_of(source: str | Path) -> Path:
    """The file of weights of a run's folder; a file as it is."""
    path = Path(source)
    return path / WEIGHTS if path.is_dir() else path
