"""Click segmentation: prompts in layers, the slice in view at once, the volume behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_mrissl.ui.segmenter.panel import PromptSegmenter

__all__ = ["PromptSegmenter"]


def __getattr__(name: str) -> Any:
    # The model in this folder works without Qt, so importing it must not need Qt.
    if name == "PromptSegmenter":
        from napari_mrissl.ui.segmenter.panel import PromptSegmenter

        return PromptSegmenter
    raise AttributeError(name)
