"""Failures that are known of the method, named where the numbers show them."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import rankdata

from napari_mrissl.pretext.observable.consistency import spearman
from napari_mrissl.pretext.observable.gaps import AXES, off_diagonal
from napari_mrissl.pretext.observable.layout import by_vectors
from napari_mrissl.pretext.observable.observations import GapMatrix
from napari_mrissl.ui.inspector.observable.work import Loaded, RowsSeen, ViewsSeen

NO_VECTORS = "This run predicts no vectors: it was trained on gaps only."
NO_CHUNKS = "This run compares no chunks."
ZERO = "0 by construction: the answers of this head are differences of places"

_EMPTY = 0.05
_UNEVEN = 1.5
_SCALE = (0.8, 1.25)
_ORDERED, _AHEAD = 0.6, 0.3
_CROSS = 2.0
_BIAS_MM = 1.0
_BACK = 0.15
_DEALS, _RARE = 999, 0.02
_ITSELF = {
    "gaps": "the gap head has a bias",
    "vectors": "nothing but training holds the edge head's vectors to 0 there",
}


def view_hints(seen: ViewsSeen, head: str, loaded: Loaded) -> list[str]:
    """One line for each failure that these views, or the answers about them, show."""
    matrix = seen.matrices[head]
    found = matrix.consistency
    said = _about_scan(loaded)
    empty = [str(n) for n, image in enumerate(seen.images) if float(image.mean()) < _EMPTY]
    if empty:
        said.append(f"Almost empty views ({', '.join(empty)}): nothing tells where air is.")
    overlap = _overlapping(matrix)
    if overlap:
        said.append(f"{overlap} pairs of views overlap: small gaps are easy there.")
    if found.mae_mm["norm"] >= found.chance_mae_mm["norm"]:
        said.append("Distances are no better than the best constant answer.")
    slope, rank = found.slope["norm"], found.spearman["norm"]
    if rank > _ORDERED and not _SCALE[0] <= slope <= _SCALE[1]:
        said.append(
            f"Distances are in order but {slope:.2f} times as long: the field of view differs from "
            "those of training, or training was short."
        )
    if _sides_confused(matrix):
        said.append("Left and right are confused: how far from the middle is known, not the side.")
    if found.diagonal_mm > _BIAS_MM:
        said.append(f"A view is {found.diagonal_mm:.1f} mm from itself: {_ITSELF[head]}.")
    if seen.choice.lagging and _has_cross(matrix):
        said.append(
            "A cross in the errors: the slow copy lags behind the network that sees view 0."
        )
    return said


def row_hints(seen: RowsSeen, head: str) -> list[str]:
    """What a row of views along one axis shows, by the answers of a head."""
    axis = AXES[seen.axis]
    true, predicted, _ = seen.matrices[head].channel(axis)
    steps = np.arange(1, len(true))
    # Mean gap over so many steps: it grows, unless the anatomy looks alike again.
    means = np.array([np.diagonal(predicted, int(step)).mean() for step in steps])
    lost = float((np.maximum.accumulate(means) - means).max()) / max(float(np.ptp(true)), 1e-9)
    if lost > _BACK:
        words = "anatomy that repeats, or ends that look alike."
        return [f"Beyond some distance along {axis} predicted gaps shrink again: {words}"]
    return []


def _about_scan(loaded: Loaded) -> list[str]:
    said = []
    spacing = loaded.scan.volume.spacing
    if spacing.max() > _UNEVEN * spacing.min():
        sides = " x ".join(f"{one:.2g}" for one in spacing)
        said.append(f"Voxels of {sides} mm: numbers are right in mm, but views are blurred.")
    if loaded.network.inspector.card.get("shuffled") is True:
        said.append("This run was trained on shuffled targets: it should know no more than chance.")
    return said


def _overlapping(matrix: GapMatrix) -> int:
    near = (np.abs(matrix.true_mm) < matrix.views.edges_mm).all(axis=-1)
    return int(np.triu(near, k=1).sum())


def _sides_confused(matrix: GapMatrix) -> bool:
    """Whether places along R tell how far from the middle a view is, rather than its side."""
    found = by_vectors(matrix.predicted_mm)[:, 0]
    true = matrix.views.centers_mm[:, 0]
    side, away = spearman(found, true), abs(spearman(found, np.abs(true)))
    if not (math.isfinite(side) and math.isfinite(away)):
        return False
    if away <= _ORDERED or away <= side + _AHEAD:
        return False
    # Of few views ranks agree by chance: places dealt out at random must hardly ever do so well.
    ranks = rankdata(found)
    dealt = np.random.default_rng(0).permuted(np.tile(ranks, (_DEALS, 1)), axis=1)
    wanted = rankdata(np.abs(true))
    size = len(true) * ranks.std() * wanted.std()
    as_good = np.abs((dealt - ranks.mean()) @ (wanted - wanted.mean())) / size > away - 1e-9
    return bool((1 + as_good.sum()) / (1 + _DEALS) <= _RARE)


def _has_cross(matrix: GapMatrix) -> bool:
    """Whether errors of the first view's row and column stand out."""
    error = np.linalg.norm(matrix.predicted_mm - matrix.true_mm, axis=-1)
    first = np.concatenate([error[0, 1:], error[1:, 0]]).mean()
    rest = error[1:, 1:][off_diagonal(len(error) - 1)].mean()
    return bool(first > _CROSS * max(float(rest), 1e-9))
