"""What a report on the observable tasks compares a network with, and which runs may be controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from napari_mrissl.pretext.observable.inspection import Inspector

Numbers = dict[str, float | None]
"""Of one network, by name; None where there is none."""

CONTROLS = (
    "untrained: the same network, its weights drawn, mean of {draws} draws; untrained_best: the "
    "best draw of each number, which is to be beaten; raw_intensity: "
    "correlations of grey values, without a network"
)
_HIGH_IS_GOOD = ("spearman", "accuracy")


def mean_of(measured: Sequence[Numbers]) -> Numbers:
    """Each number's mean over several networks; None where one has none."""
    return {name: _over(np.mean, measured, name) for name in measured[0]}


def best_of(measured: Sequence[Numbers]) -> Numbers:
    """The best of each number over several networks: accuracies and ranks are best when high,
    errors when low. Different numbers may be of different networks.
    """
    return {
        name: _over(
            np.max if any(word in name for word in _HIGH_IS_GOOD) else np.min, measured, name
        )
        for name in measured[0]
    }


def _over(
    how: Callable[[list[float]], np.floating], measured: Sequence[Numbers], name: str
) -> float | None:
    values = [one[name] for one in measured]
    known = [value for value in values if value is not None]
    return float(how(known)) if len(known) == len(values) else None


def check_null(network: Inspector, shuffled: Inspector) -> None:
    """Refuse what is no null control: it differs in its targets alone from the network.

    Raises
    ------
    MrisslError
        If it was not trained on shuffled targets, or has other views, scale or chunks.
    """
    remedy = "train one with --shuffled and the other settings of this run"
    if shuffled.card.get("shuffled") is not True:
        raise MrisslError(
            "this run was not trained on shuffled targets", where="null control", remedy=remedy
        )
    own, other = network.settings, shuffled.settings
    alike = {
        "views": own.view == other.view,
        "scale": own.scale_mm == other.scale_mm,
        "chunks": not own.chunks
        or (own.chunks, own.chunk, own.pool) == (other.chunks, other.chunk, other.pool),
    }
    for name, same in alike.items():
        if not same:
            raise MrisslError(
                f"the shuffled run has other {name}", where="null control", remedy=remedy
            )
