"""Dice and other measures of agreement."""

from napari_mrissl.metrics.overlap import dice

__all__ = ["dice"]
