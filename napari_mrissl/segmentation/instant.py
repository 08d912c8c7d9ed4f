"""From prompts to a segmentation in a moment: fit, the slice in view, then the volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack, compute
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.geometry import apply_affine
from napari_mrissl.segmentation.prompts import Prompts, labelled_voxels
from napari_mrissl.segmentation.settings import SegmentSettings
from napari_mrissl.volumes import Volume


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The result on the volume's grid.

    Attributes
    ----------
    labels
        (S, A, R) uint8, the labels of the prompts' classes.
    probability
        (K, S, A, R) float32, classes in ascending order of label, if wanted.
    uncertainty
        (S, A, R) float32, entropy over that of a uniform guess, 0 to 1, if wanted.
    metadata
        JSON-ready: all that `replay` needs to make the same again, and no path.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.float32] | None = None
    uncertainty: NDArray[np.float32] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class InstantSegmenter:
    """A classifier on one volume's features.

    Parameters
    ----------
    volume
        The scan.
    stack
        Its features, from `napari_mrissl.features.compute`.
    settings
        How to classify.
    """

    def __init__(self, volume: Volume, stack: FeatureStack, settings: SegmentSettings) -> None:
        self.volume, self.stack, self.settings = volume, stack, settings
        self._weights: NDArray[np.float32] | None = None
        self._labels: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._prompts = Prompts()
        self.outside = 0

    def fit(self, prompts: Prompts) -> InstantSegmenter:
        """Fit to these prompts; milliseconds.

        Raises
        ------
        MrisslError
            If fewer than two classes have a prompt inside the volume.
        """
        voxels = labelled_voxels(self.volume, prompts)
        if len(voxels.labels) == 0:
            raise MrisslError(
                f"none of {len(prompts.points)} prompts is inside the volume",
                where=self.volume.name,
                expected="world coordinates in RAS mm",
            )
        present = np.unique(voxels.labels)
        if len(present) < 2:
            raise MrisslError(
                f"prompts of one class only (label {present[0]})", expected="two classes or more"
            )
        x = self.stack.data[(slice(None), *voxels.indices.T)].T.astype(np.float64)
        x = np.c_[x, np.ones(len(x))]
        y = (voxels.labels[:, None] == present).astype(np.float64)
        w = (y / y.sum(axis=0)).sum(axis=1)
        gram = (x * w[:, None]).T @ x + 1e-3 * np.eye(x.shape[1])
        self._weights = np.linalg.solve(gram, (x * w[:, None]).T @ y).T.astype(np.float32)
        self._labels, self._prompts, self.outside = present, prompts, voxels.outside
        return self

    def predict_plane(self, affine: ArrayLike, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Labels of the nearest voxels on any grid in the world.

        Parameters
        ----------
        affine
            (4, 4) from index (k, i, j) of the result to RAS mm.
        shape
            (K, I, J).

        Returns
        -------
        ndarray
            (K, I, J) uint8; 0 outside the volume.
        """
        grid = np.moveaxis(np.indices(shape), 0, -1)
        index = np.rint(
            apply_affine(self.volume.to_index @ np.asarray(affine, np.float64), grid)
        ).astype(np.intp)
        inside = ((index >= 0) & (index < self.volume.shape)).all(axis=-1)
        labels = np.zeros(shape, np.uint8)
        labels[inside] = self._predict(self.stack.data[(slice(None), *index[inside].T)])
        return labels

    def predict_volume(
        self, progress: Progress | None = None, cancelled: IsCancelled | None = None
    ) -> Segmentation:
        """Labels of every voxel.

        Raises
        ------
        Cancelled
            If `cancelled` answered True between two slabs.
        """
        labels = np.empty(self.volume.shape, np.uint8)
        for s in range(len(labels)):
            stop_if(cancelled)
            slab = self.stack.data[:, s]
            labels[s] = self._predict(slab.reshape(len(slab), -1)).reshape(labels[s].shape)
            if progress:
                progress((s + 1) / len(labels), "classifying")
        return Segmentation(labels, metadata=self._metadata())

    def _predict(self, features: NDArray[np.float32]) -> NDArray[np.uint8]:
        if self._weights is None:
            raise MrisslError("the segmenter has no prompts yet", remedy="call fit first")
        scores = self._weights[:, :-1] @ features + self._weights[:, -1:]
        return np.asarray(self._labels[scores.argmax(axis=0)])

    def _metadata(self) -> dict[str, Any]:
        return {
            "software": f"napari-mrissl {__version__}",
            "volume_identity": self.volume.identity,
            "settings": self.settings.model_dump(mode="json"),
            "prompts": self._prompts.model_dump(mode="json"),
        }


def segment(
    volume: Volume,
    prompts: Prompts,
    settings: SegmentSettings | None = None,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Segmentation:
    """Features, fit and prediction in one call; the same voxels as the viewer shows.

    Raises
    ------
    Cancelled
        If `cancelled` answered True.
    MrisslError
        If the prompts do not fit the volume or the disk is too small.
    """
    settings = settings or SegmentSettings()
    stack = compute(volume, settings.features, progress, cancelled)
    return (
        InstantSegmenter(volume, stack, settings).fit(prompts).predict_volume(progress, cancelled)
    )


def replay(
    volume: Volume,
    metadata: Mapping[str, Any],
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Segmentation:
    """Make a segmentation again from the metadata of its result.

    Raises
    ------
    MrisslError
        If the metadata belong to another scan or are not complete.
    """
    if metadata.get("volume_identity") != volume.identity:
        raise MrisslError(
            "the segmentation was made on another scan",
            where=volume.name,
            expected="the same voxels, affine and type",
        )
    return segment(
        volume,
        Prompts.model_validate(metadata["prompts"]),
        SegmentSettings.model_validate(metadata["settings"]),
        progress,
        cancelled,
    )
