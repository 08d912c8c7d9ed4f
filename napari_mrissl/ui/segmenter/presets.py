"""Classes to start with, and new ones that look different from those there."""

from __future__ import annotations

from collections.abc import Iterable

from napari_mrissl.segmentation.prompts import PromptClass

LARGEST_LABEL = 255

PRESETS: dict[str, tuple[PromptClass, ...]] = {
    "Object / background": (
        PromptClass(label=1, name="object", color="#e6550d"),
        PromptClass(label=2, name="background", color="#6baed6"),
    ),
    "Brain tissue": (
        PromptClass(label=1, name="grey matter", color="#f2c14e"),
        PromptClass(label=2, name="white matter", color="#e8eaf0"),
        PromptClass(label=3, name="CSF", color="#3fa7d6"),
        PromptClass(label=4, name="background", color="#8d5b8c"),
    ),
}
DEFAULT_PRESET = "Object / background"


def new_class(existing: Iterable[PromptClass]) -> PromptClass | None:
    """A class with the smallest free label and an unused colour; None when all are taken."""
    classes = list(existing)
    labels = {one.label for one in classes}
    colors = {one.color.lower() for one in classes}
    free = next((n for n in range(1, LARGEST_LABEL + 1) if n not in labels), None)
    if free is None:
        return None
    palette = (PromptClass.default(n).color for n in range(1, 11))
    color = next((c for c in palette if c.lower() not in colors), PromptClass.default(free).color)
    return PromptClass(label=free, name=f"class {free}", color=color)


def is_background(one: PromptClass) -> bool:
    """Whether a class is one whose result would only cover the scan; it starts hidden."""
    return one.is_background
