"""Oblique slices of a volume, and flights through it by policy."""

from napari_mrissl.slicing import policies
from napari_mrissl.slicing.blocks import BlockedVolume
from napari_mrissl.slicing.compiled import prepare
from napari_mrissl.slicing.render import (
    Interpolation,
    Slices,
    render,
    render_grid,
    render_labels,
)
from napari_mrissl.slicing.threads import set_threads

__all__ = [
    "BlockedVolume",
    "Interpolation",
    "Slices",
    "policies",
    "prepare",
    "render",
    "render_grid",
    "render_labels",
    "set_threads",
]
