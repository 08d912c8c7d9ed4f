"""The studio's samples as layers, and the viewer's label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.ui.layers import add_labels, add_volume
from napari_mrissl.ui.studio.sample import Sample
from napari_mrissl.volumes.volume import Volume

_MADE_HERE = "mrissl_studio"


def label_maps(viewer: Any) -> list[Any]:
    """The viewer's Labels layers, but for those of samples added before."""
    from napari.layers import Labels

    return [
        layer
        for layer in viewer.layers
        if isinstance(layer, Labels) and _MADE_HERE not in layer.metadata
    ]


def add_sample(viewer: Any, sample: Sample) -> list[str]:
    """Add both views and their labels, with voxels of 1 mm about the origin.

    Returns
    -------
    list of str
        The new layers' names.
    """
    request = sample.request
    name = f"synthetic {request.seed}-{request.index}"
    views = sample.stages["final"].arrays
    volumes = [_volume(view, f"{name} {letter}") for view, letter in zip(views, "AB", strict=True)]
    added = [add_volume(viewer, one, contrast_limits=(0.0, 1.0)) for one in volumes]
    labels = add_labels(viewer, volumes[0], sample.labels.copy(), f"{name} labels", opacity=0.4)
    labels.metadata[_MADE_HERE] = True
    return [layer.name for layer in (*added, labels)]


def _volume(array: NDArray[Any], name: str) -> Volume:
    """A copy, because the studio goes on showing the array."""
    side = len(array)
    affine = np.zeros((4, 4))
    # The axes are S, A, R; the world is R, A, S.
    affine[[2, 1, 0], [0, 1, 2]] = 1.0
    affine[:3, 3] = -(side - 1) / 2
    affine[3, 3] = 1.0
    return Volume.from_stored(array.astype(np.float32), affine, name=name)
