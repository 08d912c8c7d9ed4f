"""Label transfer: the labels of one scan brought to others by registration, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress
from napari_mrissl.features.of_weights import settings_of
from napari_mrissl.features.source import source_for
from napari_mrissl.registration import PRESETS, RegistrationSettings, register
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.transform import warped_labels
from napari_mrissl.segmentation.prediction import Prediction
from napari_mrissl.training.data.facts import values_sha256
from napari_mrissl.volumes import Volume

TRANSFER_SETTINGS = PRESETS["MR to MR"].model_copy(update={"initial": "centres", "smoothness": 0.5})
"""Between persons; the middles of grids, as moments of crops say little of what is in them."""

METHOD = "registration of one labelled scan"

_MOST_LABELS = 4096
_REGISTERED = 0.98


@dataclass(frozen=True, eq=False)
class Transfer:
    """A labelled scan that is registered to any other; see `many_scans.Labeller`.

    Each scan is the fixed one and the labelled scan the moving one, so that labels come out on the
    scan's own grid: of each voxel the label of the voxel nearest to where it is taken.

    Attributes
    ----------
    volume
        The labelled scan.
    labels
        (S, A, R) whole numbers from 0 on its grid.
    settings
        How it is registered; windows are for the scan (fixed) and the labelled one (moving).
    names
        Name by label; the others are called by their number.
    mask
        (S, A, R) of the labelled scan: only what lies in it is compared.

    Raises
    ------
    MrisslError
        If labels are on another grid, there are none, too many, or one is below 0.
    """

    volume: Volume
    labels: NDArray[np.integer]
    settings: RegistrationSettings = TRANSFER_SETTINGS
    names: Mapping[int, str] = field(default_factory=dict)
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        where = f"labels of {self.volume.name}"
        if self.labels.shape != self.volume.shape:
            raise MrisslError(
                f"have shape {self.labels.shape}",
                where=where,
                expected=f"that of their scan, {self.volume.shape}",
            )
        found = self.values
        if not (found > 0).any():
            raise MrisslError("hold nothing but 0", where=where, expected="labels from 1")
        if found.min() < 0:
            raise MrisslError(f"hold {found.min()}", where=where, expected="whole numbers from 0")
        if len(found) > _MOST_LABELS:
            raise MrisslError(
                f"{len(found)} of them", where=where, expected=f"at most {_MOST_LABELS}"
            )

    @property
    def values(self) -> NDArray[np.integer]:
        """The labels that there are, in order."""
        return np.unique(self.labels)

    @property
    def classes(self) -> dict[int, str]:
        """Name by label, background first."""
        known = {0: "background", **self.names}
        values = [0, *(int(value) for value in self.values if value)]
        return {value: known.get(value, f"label {value}") for value in values}

    @property
    def facts(self) -> dict[str, str]:
        """For the file beside each label map: where its labels are from."""
        return {"method": METHOD, "labelled": self.volume.identity}

    @property
    def known(self) -> frozenset[str]:
        """What tells the labelled scan and copies of it, see `known_scans.is_among`."""
        return frozenset({self.volume.identity, values_sha256(self.volume)})

    def prepare(self) -> None:
        """Find out whether there are such weights.

        Raises
        ------
        MrisslError
            If there are not.
        """
        if self.settings.deformable and self.settings.features in ("network", "both"):
            source_for(settings_of(self.settings.weights))

    def predict(
        self,
        volume: Volume,
        progress: Progress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> Prediction:
        """The labels of a scan, on its grid.

        Raises
        ------
        Cancelled
            If `cancelled` answered True.
        MrisslError
            If the scans cannot be registered, see `registration.register`.
        """

        def part_of_registration(part: float, step: str) -> None:
            if progress is not None:
                progress(_REGISTERED * part, step)

        found = register(
            volume,
            self.volume,
            self.settings,
            moving_mask=self.mask,
            progress=part_of_registration,
            cancelled=cancelled,
        )
        grid = Grid.of(volume)
        smallest = self.labels.astype(np.min_scalar_type(int(self.values[-1])))
        moved = warped_labels(smallest, self.volume, found.transform.displacements(grid), grid)
        if progress is not None:
            progress(1.0, "labels")
        voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
        return Prediction(moved, self.classes, voxel_ml)
