"""Arrows, boxes and the body's axis of a crop in the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_mrissl.evaluation.vectorpose_figures import EDGES
from napari_mrissl.pretext.vectorpose.vectors import points_mm
from napari_mrissl.ui.inspector.drawn import DrawnVectors, Kind, lines
from napari_mrissl.ui.inspector.vectorpose.work import CropSeen

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

TRUE_ARROWS, PREDICTED_ARROWS = "true arrows", "predicted arrows"
TRUE_BOX, PREDICTED_BOX, AXIS = "true crop", "rebuilt crop", "body axis"

_GREEN, _MAGENTA, _YELLOW = (0.24, 0.78, 0.36), (0.92, 0.29, 0.82), (0.96, 0.8, 0.25)
_KINDS = (
    Kind(AXIS, _YELLOW, "line", 1.2),
    Kind(TRUE_BOX, _GREEN, "line", 0.8),
    Kind(PREDICTED_BOX, _MAGENTA, "line", 0.8),
    Kind(TRUE_ARROWS, _GREEN, "arrow", 1.6),
    Kind(PREDICTED_ARROWS, _MAGENTA, "arrow", 1.6),
)


class ArrowLayers(DrawnVectors):
    """The layers of one crop.

    Parameters
    ----------
    viewer
        Where they are drawn.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer, _KINDS)

    def show(self, seen: CropSeen, beside: Layer) -> None:
        """Draw a crop.

        Parameters
        ----------
        seen
            The crop.
        beside
            The scan's layer, whose kind of unit is taken.
        """
        record, view = seen.record, seen.view
        points = record.to_world(points_mm(record))
        none = np.zeros((0, 2, 3))
        self.draw(
            {
                AXIS: lines(seen.axis, ((0, 1),)),
                TRUE_BOX: lines(points, EDGES),
                PREDICTED_BOX: none if view is None else lines(view.rebuilt, EDGES),
                TRUE_ARROWS: np.stack([points, seen.true], axis=1),
                PREDICTED_ARROWS: none
                if view is None
                else np.stack([points, view.predicted], axis=1),
            },
            beside,
        )
