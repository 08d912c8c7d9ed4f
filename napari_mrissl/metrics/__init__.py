"""Dice, surface distances, volumes and other measures of agreement."""

from napari_mrissl.metrics.overlap import dice
from napari_mrissl.metrics.sizes import SizeScore, size_scores
from napari_mrissl.metrics.surfaces import SurfaceScore, surface_scores

__all__ = ["SizeScore", "SurfaceScore", "dice", "size_scores", "surface_scores"]
