"""Oblique slices of a volume, and flights through it by policy."""

from napari_mrissl.slicing.render import (
    Interpolation,
    Slices,
    render,
    render_grid,
    render_labels,
)

__all__ = ["Interpolation", "Slices", "render", "render_grid", "render_labels"]
