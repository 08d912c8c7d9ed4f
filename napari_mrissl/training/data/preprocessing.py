"""How a scan's values become [0, 1]."""

from __future__ import annotations

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
