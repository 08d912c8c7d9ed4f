"""A run's weights, and the scan that they are tried on, prepared as in training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.weights import read_card
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.training.committed import exported
from napari_mrissl.training.data.preprocessing import limits
from napari_mrissl.training.settings import Preprocessing
from napari_mrissl.volumes import Volume

SUBJECT = "inspected"
"""What a scan is called that is in no run: never by the name of its file."""


def weights_of(source: str | Path) -> Path:
    """The file of weights that a run, or the file itself, stands for.

    Raises
    ------
    MrisslError
        If there is no such run or file, or the run has no weights yet.
    """
    path = Path(source)
    if path.is_dir():
        found = exported(path)
        if found is None:
            raise MrisslError(
                "has no weights yet",
                where=path,
                expected="a run with a checkpoint",
                remedy="train it for some steps first",
            )
        return found
    if not path.is_file():
        raise MrisslError("is not there", where=path, expected="the folder of a run, or weights")
    return path


def card_of(source: str | Path) -> dict[str, Any]:
    """The card of a run's weights; imports no torch.

    Raises
    ------
    MrisslError
        If there are none, or they cannot be read.
    """
    return read_card(weights_of(source))


def scan_for(volume: Volume, card: Mapping[str, Any]) -> Scan:
    """A volume as a scan whose values become [0, 1] as those of the run did.

    Raises
    ------
    MrisslError
        If the card does not say how.
    """
    try:
        preprocessing = Preprocessing.model_validate(card.get("preprocessing"))
    except ValidationError as error:
        raise MrisslError(
            "the card of the weights does not say how scans are prepared",
            remedy="use the weights of a run",
        ) from error
    low, high = limits(volume, preprocessing)
    return Scan(volume, low, high, SUBJECT, volume.identity)
