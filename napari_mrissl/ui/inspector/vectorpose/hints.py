"""Failures that are known of the method, named where they apply."""

from __future__ import annotations

import numpy as np

from napari_mrissl.pretext import cube
from napari_mrissl.pretext.vectorpose.views import RestorationView
from napari_mrissl.ui.inspector.vectorpose.work import CropSeen, Loaded

NO_VECTORS = "This run predicts no vectors: it was trained to restore crops only."
NO_RESTORATION = "This run restores nothing: it was trained on arrows only."

_LEFT_RIGHT = cube.nearest(np.diag([1, 1, -1]))
_EMPTY = 0.05
_UNEVEN = 1.5
_OFF_MIDDLE_MM = 15.0
_FEW, _MANY = 0.005, 0.4


def crop_hints(seen: CropSeen, loaded: Loaded) -> list[str]:
    """One line for each failure that this crop of this scan invites."""
    said = []
    view, record = seen.view, seen.record
    if float(seen.image.mean()) < _EMPTY:
        said.append("The crop is almost empty: nothing in it tells where it is.")
    if view is not None:
        reading = view.reading
        if reading.element == cube.compose(reading.true_element, _LEFT_RIGHT):
            said.append("Only left and right are exchanged: the region looks alike on both sides.")
        if view.coded_true[0, 0] <= loaded.network.settings.least_r:
            said.append("The centre is on the axis (r near 0): its angles mean nothing here.")
        if (view.coded_true[:, 0] >= 1).any():
            said.append("An arrow is longer than R: its length is cut off at R.")
    spacing = np.array(record.spacing_mm)
    if spacing.max() > _UNEVEN * spacing.min():
        sides = " x ".join(f"{one:.2g}" for one in spacing)
        said.append(f"Voxels of {sides} mm: arrows are right in mm, but the crop is blurred.")
    if loaded.off_middle_mm is not None and loaded.off_middle_mm > _OFF_MIDDLE_MM:
        said.append(
            f"The body lies {loaded.off_middle_mm:.0f} mm off the middle of the scan, where the "
            "arrows end."
        )
    if loaded.network.inspector.card.get("shuffled") is True:
        said.append("This run was trained on shuffled targets: it should know no more than chance.")
    return said


def boundary_hint(view: RestorationView, boundary: np.ndarray) -> str:
    """What is wrong with a threshold, or an empty text."""
    share = float((boundary > 0.5).mean())
    if share > _MANY:
        return f"{100 * share:.0f} % are boundaries: the threshold is so low that noise counts."
    if share < _FEW:
        return "Almost no boundary: the threshold is too high, or the intensity scale too wide."
    if not view.painted.any():
        return "Nothing was painted over this time; spoil the crop again to see it."
    return ""
