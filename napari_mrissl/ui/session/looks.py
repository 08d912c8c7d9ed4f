"""How a layer is shown, as plain data and back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_mrissl.ui.session.records import Look

if TYPE_CHECKING:
    from napari.layers import Layer

LOGGER = logging.getLogger(__name__)

_WORDS = ("rendering", "interpolation2d", "interpolation3d")
_MOST_COLORS = 500


def look_of(layer: Layer) -> dict[str, Any]:
    """What a `Look` is made of; quick, because it is asked every second."""
    look: dict[str, Any] = {
        "name": layer.name[:1000],
        "visible": bool(layer.visible),
        "opacity": float(layer.opacity),
        "blending": str(layer.blending),
    }
    matrix = layer.affine.affine_matrix
    if matrix.shape == (4, 4) and not np.array_equal(matrix, np.eye(4)):
        look["affine"] = tuple(tuple(row) for row in matrix.tolist())
    if isinstance(layer, Image):
        low, high = layer.contrast_limits
        look["contrast_limits"] = (float(low), float(high))
        look["colormap"] = str(layer.colormap.name)
        look["gamma"] = float(layer.gamma)
        look |= {word: str(getattr(layer, word)) for word in _WORDS}
    elif isinstance(layer, Labels):
        look["contour"] = int(layer.contour)
        look["brush_size"] = float(layer.brush_size)
        look["colors"] = _colors(layer)
    return look


def apply_look(layer: Layer, look: Look) -> list[str]:
    """Show a layer so; names of what napari would not take, which stays as it is."""
    wanted = look.model_dump(exclude={"name", "colors", "affine"}, exclude_none=True)
    refused = []
    for key, value in wanted.items():
        try:
            if getattr(layer, key, value) != value:
                setattr(layer, key, value)
        except (ValueError, TypeError, KeyError) as error:
            LOGGER.warning("a layer's %s could not be brought back: %s", key, error)
            refused.append(key)
    if look.affine is not None:
        matrix = np.array(look.affine)
        if np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) > 1e-9:
            layer.affine = matrix
        else:
            refused.append("affine")
    if look.colors is not None and isinstance(layer, Labels):
        from napari.utils.colormaps import DirectLabelColormap

        table: dict[int | None, Any] = {None: (0, 0, 0, 0)}
        table |= {label: np.clip(color, 0, 1) for label, color in look.colors.items()}
        layer.colormap = DirectLabelColormap(color_dict=table)
    return refused


def _colors(layer: Labels) -> dict[int, tuple[float, ...]] | None:
    """Colours chosen for single labels; None while napari's own are shown."""
    table = getattr(layer.colormap, "color_dict", None)
    if not table or len(table) > _MOST_COLORS:
        return None
    return {
        int(label): tuple(float(c) for c in color)
        for label, color in table.items()
        if label is not None
    }
