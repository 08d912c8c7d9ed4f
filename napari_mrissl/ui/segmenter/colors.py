"""Class colours as napari colormaps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from napari_mrissl.segmentation.prompts import PromptClass

if TYPE_CHECKING:
    from napari.utils.colormaps import DirectLabelColormap

_CLEAR = (0.0, 0.0, 0.0, 0.0)


def label_colors(
    classes: Iterable[PromptClass], hidden: Collection[int] = ()
) -> DirectLabelColormap:
    """Each label in its class's colour; labels without a class, and hidden ones, invisible."""
    from napari.utils.colormaps import DirectLabelColormap

    colors: dict[Any, Any] = {None: _CLEAR, 0: _CLEAR}
    for one in classes:
        colors[one.label] = _CLEAR if one.label in hidden else one.color
    return DirectLabelColormap(color_dict=colors)
