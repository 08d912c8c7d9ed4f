"""A field that folds somewhere is smoothed there, and only there."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.transform import Field, jacobian

_PASSES = 10
_REACH, _EDGE, _SIGMA = 2, 1.0, 2.0
"""In nodes: how far around folds is smoothed, how softly that ends, and the Gaussian."""


def unfolded(field: Field, grid: Grid) -> Field:
    """Displacements (Z, Y, X, 3) in RAS mm on a grid, smoothed in place around folds till none is.

    Ours, of no publication. Some passes do for what registration finds; after ten the rest stays.
    """
    for _ in range(_PASSES):
        folds = jacobian(field, grid) <= 0
        if not folds.any():
            break
        # A pass over the box around them all, since a Gaussian of everything would be slow.
        around = int(_REACH + 4 * max(_EDGE, _SIGMA))
        near = tuple(
            slice(max(int(places.min()) - around, 0), int(places.max()) + around + 1)
            for places in np.nonzero(folds)
        )
        wide = ndimage.binary_dilation(folds[near], iterations=_REACH)
        share = ndimage.gaussian_filter(wide.astype(np.float32), _EDGE)
        for component in np.moveaxis(field[near], -1, 0):
            smooth = ndimage.gaussian_filter(component, _SIGMA, mode="nearest")
            component += share * (smooth - component)
    return field
