"""Where a slice lies, read from its latents by a linear map that is fitted on one scan.

A frozen network is probed, never trained. It says how well the latents know the place in this
scan, not in scans that the probe has not seen; measured on slices it was not fitted on, beside
the best answer that looks at no slice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.navigation.moves import apart
from napari_mrissl.pretext.navigation.open_network import OpenNetwork
from napari_mrissl.pretext.subjects import Scan

PLACES = 768
_HELD_OUT = 0.2
_PENALTIES = np.logspace(0, 6, 13)
_LEAST = 40


@dataclass(frozen=True)
class ProbeError:
    """Medians over slices.

    Attributes
    ----------
    mm
        Of the centre.
    degrees
        Of the orientation.
    """

    mm: float
    degrees: float


@dataclass(frozen=True, eq=False)
class PoseProbe:
    """Reads poses from latents.

    Attributes
    ----------
    held_out
        Its errors on slices of the same scan that it was not fitted on.
    chance
        Errors on the same slices of the best one pose for all: the mean centre, and the
        orientation next to the mean one.
    places, tested
        Slices it was fitted on, and those that its errors are of.
    identity
        Of the scan.
    """

    model: Any
    held_out: ProbeError
    chance: ProbeError
    places: int
    tested: int
    identity: str

    @classmethod
    def fit(
        cls,
        network: OpenNetwork,
        scan: Scan,
        places: int = PLACES,
        seed: int = 0,
        cancelled: IsCancelled | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> PoseProbe:
        """Ridge regression from latents to centre, two axes and log field of view (inferred).

        Its penalty is chosen by leave-one-out error among the slices that it is fitted on,
        which are where training flights begin, each drawn by itself.

        Raises
        ------
        MrisslError
            If there are fewer than 40 places.
        Cancelled
            If ``cancelled`` answered True.
        """
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if places < _LEAST:
            raise MrisslError(f"{places} slices", where="pose probe", expected=f"{_LEAST} or more")
        told = progress or _untold
        poses: list[Pose] = []
        for first in range(0, places, 32):
            stop_if(cancelled)
            poses += network.places(scan, min(32, places - first), seed + first)
            told(0.4 * len(poses) / places)
        latents = network.encode(scan, poses, cancelled, lambda part: told(0.4 + 0.4 * part))
        stop_if(cancelled)
        features, targets = latents.reshape(len(latents), -1), targets_of(poses)
        held = round(_HELD_OUT * places)
        model = make_pipeline(StandardScaler(), RidgeCV(alphas=_PENALTIES))
        model.fit(features[held:], targets[held:])
        stop_if(cancelled)
        told(0.95)
        answers = [pose_of(row) for row in model.predict(features[:held])]
        constant = pose_of(targets[held:].mean(axis=0))
        return cls(
            model,
            _errors(poses[:held], answers),
            _errors(poses[:held], [constant] * held),
            places - held,
            held,
            scan.identity,
        )

    def read(self, latents: NDArray[np.floating]) -> Pose:
        """The pose that latents (grid, grid, latent) tell."""
        return pose_of(self.model.predict(np.asarray(latents, np.float32).reshape(1, -1))[0])


def targets_of(poses: list[Pose]) -> NDArray[np.float64]:
    """Rows (K, 10): centre in mm, right, up, and the logarithm of the field of view."""
    return np.stack(
        [
            np.concatenate([p.center, 100 * p.right, 100 * p.up, [100 * np.log(p.fov)]])
            for p in poses
        ]
    )


def pose_of(row: NDArray[np.floating]) -> Pose:
    """The pose next to a row of `targets_of` that need not be one."""
    axes = np.asarray(row[3:9], np.float64).reshape(2, 3).T / 100
    # The two orthonormal axes nearest to them; both get the same share of the blame.
    left, _, right = np.linalg.svd(axes, full_matrices=False)
    near = left @ right
    rotation = np.column_stack([near, np.cross(near[:, 0], near[:, 1])])
    fov = float(np.exp(np.clip(row[9] / 100, 0, 8)))
    return Pose(np.asarray(row[:3], np.float64), rotation, fov)


def _errors(true: list[Pose], found: list[Pose]) -> ProbeError:
    away = [apart(one, other) for one, other in zip(true, found, strict=True)]
    return ProbeError(
        float(np.median([one.mm for one in away])), float(np.median([one.degrees for one in away]))
    )


def _untold(_: float) -> None:
    return None
