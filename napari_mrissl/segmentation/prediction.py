"""A finetuned network's labels of one scan, on the scan's own grid; torch comes in when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.filters import scaled
from napari_mrissl.segmentation.regridding import network_shape, resized
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from torch import nn

    from napari_mrissl.segmentation.torch_prediction import NetworkPass

__all__ = ["Cancelled", "Prediction", "PredictionSettings", "Predictor", "Segmenter"]

Flips = Literal["none", "safe", "all"]

_NETWORK_PART = 0.9
"""How much of the work the network is, where its result is brought back to the scan's grid."""


class PredictionSettings(BaseModel):
    """How a network is applied to a scan.

    Attributes
    ----------
    flips
        Mirrored copies whose probabilities are averaged. ``"safe"``: along the axes that were
        mirrored in training, but never left-right, where a mirrored copy shows the other
        side's structures; ``"all"``: along all three axes.
    window
        Voxels along each side of the sliding window on the network's grid; 0 for what suits:
        the whole scan where memory allows, else the largest window that fits. A network that
        normalises by the image itself (group or instance normalisation) gets windows of the
        size it was trained on, whose statistics it knows.
    overlap
        Of neighbouring windows, as a share of their side.
    probabilities
        Whether the probability of every class is wanted too.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flips: Flips = Field(
        default="safe",
        title="Flips",
        description="Average over mirrored copies: safe takes those that training saw, never "
        "left to right, and in no preset did it see any; all mirrors every axis.",
    )
    window: int = Field(
        default=0,
        ge=0,
        le=1024,
        title="Window",
        description="Side of the sliding window in voxels; 0 takes what suits network and memory.",
    )
    overlap: float = Field(
        default=0.5, ge=0, le=0.9, title="Overlap", description="Of neighbouring windows."
    )
    probabilities: bool = Field(
        default=False, title="Probabilities", description="Also give the probability of each class."
    )
    device: str = Field(default="auto", title="Device", description="auto, cpu, cuda, cuda:1 ...")


class Segmenter(Protocol):
    """What prediction needs to know of a finetuned network.

    Attributes
    ----------
    classes
        Name by label, in the order of the logits' channels.
    spacing
        Of the network's grid in mm along (S, A, R); None for each scan's own.
    patch
        Voxels along (S, A, R) of the crops it was trained on.
    stride, least_side
        What every side of an image must be a multiple of, and at least.
    mirrored
        Axes of (S, A, R), by number, along which training mirrored its crops.
    """

    @property
    def classes(self) -> Mapping[int, str]: ...  # noqa: D102 - see above
    @property
    def spacing(self) -> tuple[float, float, float] | None: ...  # noqa: D102
    @property
    def patch(self) -> tuple[int, int, int]: ...  # noqa: D102
    @property
    def stride(self) -> int: ...  # noqa: D102
    @property
    def least_side(self) -> int: ...  # noqa: D102
    @property
    def mirrored(self) -> tuple[int, ...]: ...  # noqa: D102

    def limits(self, volume: Volume) -> tuple[float, float]:
        """The values of a scan that become 0 and 1; what lies outside is clipped."""
        ...

    def network(self) -> nn.Module:
        """Torch module from an image (N, 1, Z, Y, X) to logits (N, K, Z, Y, X)."""
        ...


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels of one scan.

    Attributes
    ----------
    labels
        (S, A, R) on the scan's grid, in the smallest unsigned integer type.
    classes
        Name by label.
    voxel_ml
        Volume of a voxel in ml.
    probabilities
        (K, S, A, R) float32 in the order of `classes`, where they were asked for; they sum
        to 1 in every voxel.
    """

    labels: NDArray[np.unsignedinteger[Any]]
    classes: Mapping[int, str]
    voxel_ml: float
    probabilities: NDArray[np.float32] | None = None

    @cached_property
    def voxels(self) -> dict[int, int]:
        """Number of voxels by label."""
        counts = np.bincount(self.labels.reshape(-1), minlength=max(self.classes) + 1)
        return {label: int(counts[label]) for label in self.classes}

    @property
    def volumes_ml(self) -> dict[int, float]:
        """Volume in ml by label."""
        return {label: count * self.voxel_ml for label, count in self.voxels.items()}


class Predictor:
    """A network ready for many scans, one at a time.

    Parameters
    ----------
    segmenter
        The finetuned network; it is loaded for the first scan.
    settings
        How it is applied.
    """

    def __init__(self, segmenter: Segmenter, settings: PredictionSettings | None = None) -> None:
        self.segmenter = segmenter
        self.settings = settings or PredictionSettings()
        self.classes = dict(segmenter.classes)
        if not self.classes or min(self.classes) < 0:
            raise MrisslError(
                f"labels {', '.join(map(str, self.classes)) or 'none'}",
                where="classes",
                expected="whole numbers from 0",
            )

    def prepare(self) -> None:
        """Load the network now, so that what is wrong with it is said before a scan is read.

        Raises
        ------
        MrisslError
            If torch or MONAI is not installed, the device is not there, or the network cannot
            be had.
        """
        _ = self._pass

    def predict(
        self,
        volume: Volume,
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> Prediction:
        """Segment a scan.

        Values outside the range of the preprocessing are clipped, as in training. Where the
        network has a grid of its own the scan is brought to it by linear interpolation, and the
        probabilities are brought back before the most probable class is taken: labels
        themselves are never interpolated.

        Raises
        ------
        Cancelled
            If `cancelled` answered True.
        MrisslError
            If the scan has no contrast, torch or MONAI is not installed, the network cannot
            be had, gives values that are not finite, or memory does not suffice.
        """
        image = self._prepared(volume, cancelled)
        stop_if(cancelled)

        def network_part(part: float, step: str) -> None:
            if progress is not None:
                progress(_NETWORK_PART * part, step)

        found = self._pass.probabilities(image, network_part, cancelled)
        if len(found) != len(self.classes):
            raise MrisslError(
                f"{len(found)} channels",
                where="network",
                expected=f"one for each of {len(self.classes)} classes",
                remedy="the run is damaged or of another version",
            )
        labels, probabilities = self._on_the_scan(found, volume, cancelled)
        if progress is not None:
            progress(1.0, "labels")
        voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
        return Prediction(labels, self.classes, voxel_ml, probabilities)

    def _prepared(self, volume: Volume, cancelled: IsCancelled | None) -> NDArray[np.float32]:
        image = scaled(volume, self.segmenter.limits(volume), (0.0, 1.0), cancelled)
        if image.min() == image.max():
            raise MrisslError(
                "all voxels have the same value",
                where=volume.name,
                expected="a scan with some contrast in the range that the network was trained on",
            )
        return resized(image, network_shape(volume, self.segmenter.spacing))

    @cached_property
    def _pass(self) -> NetworkPass:
        try:
            from napari_mrissl.segmentation.torch_prediction import NetworkPass
        except ModuleNotFoundError as error:
            raise MrisslError(
                f"prediction needs {error.name}, which is not installed",
                remedy='run: pip install "napari-mrissl[train]"',
            ) from error
        return NetworkPass(self.segmenter, self.settings)

    def _on_the_scan(
        self, found: NDArray[np.float32], volume: Volume, cancelled: IsCancelled | None
    ) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.float32] | None]:
        """The most probable labels on the scan's grid, class by class to save memory."""
        table = np.array(list(self.classes), np.min_scalar_type(max(self.classes)))
        wanted = self.settings.probabilities
        kept = np.empty((len(table), *volume.shape), np.float32) if wanted else None
        labels = np.full(volume.shape, table[0])
        best = np.full(volume.shape, -np.inf, np.float32)
        for number, label in enumerate(table):
            stop_if(cancelled)
            own = resized(found[number], volume.shape)
            better = own > best
            labels[better] = label
            np.copyto(best, own, where=better)
            if kept is not None:
                kept[number] = own
        return labels, kept
