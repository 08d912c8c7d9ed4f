"""From prompts to a segmentation in a moment: fit, the slice in view, then the volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ValidationError

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack, source_for
from napari_mrissl.features.apart import compute_apart
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.segmentation.classifiers import fit_classifier
from napari_mrissl.segmentation.models import Model, Outputs
from napari_mrissl.segmentation.prompts import Prompts, labelled_voxels
from napari_mrissl.segmentation.settings import SegmentSettings
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

_SLICES_AT_ONCE = 16
"""Slices between two looks at whether a newer click wants the machine."""


_Model = TypeVar("_Model", bound=BaseModel)

_POOL = 20_000
"""Voxels without labels, on a regular grid, from which the fast classifier learns too."""


_FEATURES_PART = 0.7
"""How much of the work the features are, when they are not cached."""


class _Fit(NamedTuple):
    model: Model
    table: NDArray[np.uint8]
    prompts: Prompts


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
        Its features, from `napari_mrissl.features.compute` or `compute_apart`.
    settings
        How to classify.

    Attributes
    ----------
    outside
        How many prompts of the last fit lay outside the volume and were left out.
    """

    def __init__(self, volume: Volume, stack: FeatureStack, settings: SegmentSettings) -> None:
        if stack.identity != volume.identity or stack.data.shape[1:] != volume.shape:
            raise MrisslError("these features belong to another scan", where=volume.name)
        self.volume, self.stack, self.settings = volume, stack, settings
        self.outside = 0
        # With the identity of weights, not a name that may come to stand for others.
        self._exact = settings.model_copy(
            update={"features": source_for(settings.features).settings}
        )
        self._flat = stack.data.reshape(len(stack.data), -1)
        self._fit: _Fit | None = None
        step = max(1, round((volume.data.size / _POOL) ** (1 / 3)))
        pool = stack.data[:, step // 2 :: step, step // 2 :: step, step // 2 :: step]
        self._pool = np.ascontiguousarray(pool.reshape(len(pool), -1))

    def fit(self, prompts: Prompts) -> InstantSegmenter:
        """Fit to these prompts; milliseconds.

        Raises
        ------
        MrisslError
            If the prompts were placed on another scan, or fewer than two classes have a
            prompt inside the volume.
        """
        if prompts.volume_identity not in (None, self.volume.identity):
            raise MrisslError(
                "the prompts were placed on another scan",
                where=self.volume.name,
                remedy="load prompts of this scan",
            )
        if not prompts.points:
            raise MrisslError("there are no prompts", remedy="mark at least two classes")
        voxels = labelled_voxels(self.volume, prompts)
        if len(voxels.labels) == 0:
            raise MrisslError(
                f"none of {len(prompts.points)} prompts is inside the volume",
                where=self.volume.name,
                expected="world coordinates in RAS mm",
            )
        table, classes = np.unique(voxels.labels, return_inverse=True)
        if len(table) < 2:
            raise MrisslError(
                f"prompts of one class only (label {table[0]})",
                expected="two classes or more",
                remedy="mark something else too, for instance background",
            )
        rows = self._flat[:, np.ravel_multi_index(tuple(voxels.indices.T), self.volume.shape)].T
        model = fit_classifier(self.settings.classifier, rows, classes, self._pool)
        self.outside = voxels.outside
        self._fit = _Fit(model, table.astype(np.uint8), prompts)
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
        from napari_mrissl.segmentation import kernels

        fit = self._fitted()
        planes, rows, columns = shape
        matrix = np.ascontiguousarray((self.volume.to_index @ np.asarray(affine, np.float64))[:3])
        voxels = np.empty((planes * rows, columns), np.int64)
        size = np.array(self.volume.shape)
        over_rows(
            lambda first, last: kernels.nearest_voxels(
                matrix, size, rows, columns, voxels, first, last
            ),
            planes * rows,
            voxels.size,
        )
        labels = np.empty(voxels.size, np.uint8)
        blocks = -(-voxels.size // kernels.BLOCK)
        over_rows(
            lambda first, last: fit.model.classify_at(
                self._flat,
                voxels.reshape(-1),
                fit.table,
                labels,
                first * kernels.BLOCK,
                min(last * kernels.BLOCK, voxels.size),
            ),
            blocks,
            voxels.size,
        )
        return labels.reshape(shape)

    def predict_volume(
        self, progress: Progress | None = None, cancelled: IsCancelled | None = None
    ) -> Segmentation:
        """Labels of every voxel.

        Raises
        ------
        Cancelled
            If `cancelled` answered True between two slabs.
        """
        fit = self._fitted()
        slices, rows, columns = self.volume.shape
        area, count = rows * columns, self.volume.data.size
        classes = len(fit.table)
        outputs = Outputs(
            np.empty(count, np.uint8),
            np.empty((classes, count if self.settings.probability else 0), np.float32),
            np.empty(count if self.settings.uncertainty else 0, np.float32),
        )
        for start in range(0, slices, _SLICES_AT_ONCE):
            stop_if(cancelled)
            stop = min(start + _SLICES_AT_ONCE, slices)
            run = _classify_slices(fit, self._flat, outputs, start, area)
            over_rows(run, stop - start, (stop - start) * area)
            if progress is not None:
                progress(stop / slices, "classifying")
        shape = self.volume.shape
        return Segmentation(
            outputs.labels.reshape(shape),
            outputs.probability.reshape(classes, *shape) if self.settings.probability else None,
            outputs.uncertainty.reshape(shape) if self.settings.uncertainty else None,
            self._metadata(fit.prompts),
        )

    def _fitted(self) -> _Fit:
        if self._fit is None:
            raise MrisslError("the segmenter has no prompts yet", remedy="call fit first")
        return self._fit

    def _metadata(self, prompts: Prompts) -> dict[str, Any]:
        return {
            "software": f"napari-mrissl {__version__}",
            "volume_identity": self.volume.identity,
            "settings": self._exact.model_dump(mode="json"),
            "prompts": prompts.model_dump(mode="json"),
        }


def _classify_slices(
    fit: _Fit, features: NDArray[np.float32], outputs: Outputs, start: int, area: int
) -> Callable[[int, int], None]:
    def run(first: int, last: int) -> None:
        # One slice at a time: what one thread does must not depend on their number.
        for s in range(start + first, start + last):
            fit.model.classify(features, fit.table, outputs, s * area, (s + 1) * area)

    return run


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
    told = _stretch(progress, 0.0, _FEATURES_PART)
    stack = compute_apart(volume, settings.features, told, cancelled)
    segmenter = InstantSegmenter(volume, stack, settings).fit(prompts)
    return segmenter.predict_volume(_stretch(progress, _FEATURES_PART, 1.0), cancelled)


def _stretch(progress: Progress | None, start: float, stop: float) -> Progress | None:
    """Progress of one of several jobs as part of the whole."""
    if progress is None:
        return None
    return lambda part, name: progress(start + part * (stop - start), name)


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
    prompts = _from_metadata(Prompts, metadata, "prompts")
    settings = _from_metadata(SegmentSettings, metadata, "settings")
    return segment(volume, prompts, settings, progress, cancelled)


def _from_metadata(kind: type[_Model], metadata: Mapping[str, Any], key: str) -> _Model:
    try:
        return kind.model_validate(metadata.get(key))
    except ValidationError as reason:
        raise MrisslError(
            f"{key} cannot be read", where="segmentation metadata", expected=f"{key} as saved"
        ) from reason
