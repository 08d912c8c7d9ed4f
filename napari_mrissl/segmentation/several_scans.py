"""One instant classifier for several scans: clicks in some, results in all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.segmentation.classifiers import DEFAULT, fit_classifier
from napari_mrissl.segmentation.models import Model, Outputs
from napari_mrissl.segmentation.prompts import Prompts, labelled_voxels
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

_POOL = 20_000
"""Voxels without labels of all scans together, from which the fast classifier learns too."""

_SLICES_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class PromptedScan:
    """A scan, its features, and what is marked in it, which may be nothing."""

    volume: Volume
    stack: FeatureStack
    prompts: Prompts = field(default_factory=Prompts)

    def __post_init__(self) -> None:
        stack, volume = self.stack, self.volume
        if stack.identity != volume.identity or stack.data.shape[1:] != volume.shape:
            raise MrisslError("these features belong to another scan", where=volume.name)
        if self.prompts.volume_identity not in (None, volume.identity):
            raise MrisslError("the prompts were placed on another scan", where=volume.name)

    @property
    def flat(self) -> NDArray[np.float32]:
        """(C, N) features of all voxels in C order."""
        return self.stack.data.reshape(len(self.stack.data), -1)


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of a scan.

    Attributes
    ----------
    labels
        (S, A, R) uint8.
    uncertainty
        (S, A, R) float32, entropy over that of a uniform guess, 0 to 1.
    """

    labels: NDArray[np.uint8]
    uncertainty: NDArray[np.float32]


def beliefs(
    scans: Sequence[PromptedScan],
    classifier: str = DEFAULT,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> list[Belief]:
    """Fit to the prompts of all scans together, and classify every voxel of each.

    Of one scan it is what `InstantSegmenter` gives. Between scans it is as good as features
    mean the same in each.

    Raises
    ------
    Cancelled
        If `cancelled` answered True between two slabs.
    MrisslError
        If features differ in kind, or fewer than two classes have a prompt inside its scan.
    """
    same_features([one.stack for one in scans])
    found = [labelled_voxels(one.volume, one.prompts) for one in scans]
    table, classes = np.unique(np.concatenate([one.labels for one in found]), return_inverse=True)
    if len(table) < 2:
        raise MrisslError(
            f"prompts of {len(table)} classes in {len(scans)} scans",
            expected="two classes or more",
            remedy="mark something else too, for instance background",
        )
    rows = [
        one.flat[:, np.ravel_multi_index(tuple(known.indices.T), one.volume.shape)].T
        for one, known in zip(scans, found, strict=True)
    ]
    pool = [_regular(one.stack.data, _POOL // len(scans)) for one in scans]
    model = fit_classifier(classifier, np.concatenate(rows), classes, np.concatenate(pool, axis=1))

    result = []
    for number, one in enumerate(scans):

        def told(part: float, before: int = number) -> None:
            if progress is not None:
                progress((before + part) / len(scans), "classifying")

        result.append(_belief(one, model, table.astype(np.uint8), told, cancelled))
    return result


def same_features(stacks: Sequence[FeatureStack]) -> None:
    """Refuse scans whose channels mean different things.

    Raises
    ------
    MrisslError
        If they do, or there are no scans.
    """
    if not stacks:
        raise MrisslError("no scans", expected="at least one")
    if any(one.names != stacks[0].names or one.settings != stacks[0].settings for one in stacks):
        raise MrisslError("the scans have different features", expected="the same for all")


class _Slab:
    """Some slices of a scan, to be classified one by one.

    What one thread does must not depend on how many there are.
    """

    def __init__(
        self, scan: PromptedScan, model: Model, table: NDArray[np.uint8], outputs: Outputs
    ) -> None:
        self.features, self.model, self.table, self.outputs = scan.flat, model, table, outputs
        self.area = scan.volume.data[0].size
        self.start = 0

    def __call__(self, first: int, last: int) -> None:
        for s in range(self.start + first, self.start + last):
            self.model.classify(
                self.features, self.table, self.outputs, s * self.area, (s + 1) * self.area
            )


def _belief(
    scan: PromptedScan,
    model: Model,
    table: NDArray[np.uint8],
    told: Callable[[float], None],
    cancelled: IsCancelled | None,
) -> Belief:
    shape, count = scan.volume.shape, scan.volume.data.size
    nothing = np.empty((len(table), 0), np.float32)
    outputs = Outputs(np.empty(count, np.uint8), nothing, np.empty(count, np.float32))
    slab = _Slab(scan, model, table, outputs)
    for start in range(0, shape[0], _SLICES_AT_ONCE):
        stop_if(cancelled)
        stop = min(start + _SLICES_AT_ONCE, shape[0])
        slab.start = start
        over_rows(slab, stop - start, (stop - start) * slab.area)
        told(stop / shape[0])
    return Belief(outputs.labels.reshape(shape), outputs.uncertainty.reshape(shape))


def _regular(data: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(C, m) features of voxels on a regular grid, about so many."""
    step = max(1, round((data[0].size / max(count, 1)) ** (1 / 3)))
    part = data[:, step // 2 :: step, step // 2 :: step, step // 2 :: step]
    return np.ascontiguousarray(part.reshape(len(part), -1))
