"""How a scan's values become [0, 1], and the refusal of weights that were trained on others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from napari_mrissl.errors import MrisslError
from napari_mrissl.training.settings import Preprocessing
from napari_mrissl.volumes import Volume

CT_WINDOW = Preprocessing(kind="window", low=-1000.0, high=1000.0)
"""From air to dense bone, as in arXiv:2211.08533."""

_SOFT_TISSUE = (-160.0, 240.0)


def limits(volume: Volume, preprocessing: Preprocessing) -> tuple[float, float]:
    """The values that become 0 and 1.

    Percentiles are those of at most about 250,000 voxels on a regular grid.

    Raises
    ------
    MrisslError
        If low is not below high, or percentiles are not within 0 and 100.
    """
    low, high = preprocessing.low, preprocessing.high
    if not low < high:
        raise MrisslError(f"{low:g} to {high:g}", where="Intensity scale", expected="low < high")
    if preprocessing.kind == "window":
        return low, high
    if low < 0 or high > 100:
        raise MrisslError(
            f"percentiles {low:g} and {high:g}", where="Intensity scale", expected="0 to 100"
        )
    return volume.value_range(low, high)


def looks_like_ct(volume: Volume) -> bool:
    """Whether values look like HU: much air and much soft tissue; see `display_window`."""
    return volume.display_window() == _SOFT_TISSUE


def check_loaded(wanted: Preprocessing, stored: Mapping[str, Any] | None, where: str) -> None:
    """Refuse weights that were trained on values scaled in another way.

    Parameters
    ----------
    wanted
        Of the run, the inspection or the segmentation that is to use the weights.
    stored
        What the weights' metadata say, as `Preprocessing` dumps it.
    where
        Name of the weights, for the message.

    Raises
    ------
    MrisslError
        If they differ, or the weights say nothing that can be read.
    """
    try:
        # Defaults must not stand in for what the weights leave out.
        complete = stored if stored and stored.keys() >= Preprocessing.model_fields.keys() else None
        theirs = Preprocessing.model_validate(complete)
    except ValidationError as error:
        raise MrisslError(
            "the weights do not say how their scans' values were scaled",
            where=where,
            expected="weights that a run has written",
        ) from error
    if theirs != wanted:
        raise MrisslError(
            f"trained on values scaled by {described(theirs)}",
            where=where,
            expected=described(wanted),
            remedy="use the same intensity scale as the weights, or train anew",
        )


def described(preprocessing: Preprocessing) -> str:
    """In a few words, e.g. ``"percentiles 0.5 to 99.5"``."""
    unit = "percentiles {} to {}" if preprocessing.kind == "percentile" else "{} to {} HU"
    return unit.format(f"{preprocessing.low:g}", f"{preprocessing.high:g}")
