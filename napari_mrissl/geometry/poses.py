"""Many poses at once, in three arrays: for environments that fly side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.pose import Pose
from napari_mrissl.geometry.rotations import (
    matrices_from_axis_angles,
    quaternions_from_matrices,
)


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """K square planes in world RAS+ mm; what each number means is said by `Pose`.

    Attributes
    ----------
    centers
        (K, 3) float64, mm.
    rotations
        (K, 3, 3) with columns right, up, normal.
    fovs
        (K,), mm.
    """

    centers: NDArray[np.float64]
    rotations: NDArray[np.float64]
    fovs: NDArray[np.float64]

    @classmethod
    def of(cls, poses: Sequence[Pose]) -> Poses:
        """Some poses, one or more."""
        return cls(
            np.array([pose.center for pose in poses]),
            np.array([pose.rotation for pose in poses]),
            np.array([pose.fov for pose in poses]),
        )

    def __len__(self) -> int:
        return len(self.fovs)

    def __getitem__(self, number: int) -> Pose:
        return Pose(self.centers[number], self.rotations[number], float(self.fovs[number]))

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Poses:
        """Some of them, by mask or by number."""
        return Poses(self.centers[which], self.rotations[which], self.fovs[which])

    def put(self, number: int, pose: Pose) -> None:
        """Write another pose in the place of one."""
        self.centers[number] = pose.center
        self.rotations[number] = pose.rotation
        self.fovs[number] = pose.fov

    @property
    def rows(self) -> NDArray[np.float64]:
        """(K, 8) in the order of `POSE_COLUMNS`."""
        quaternions = quaternions_from_matrices(self.rotations)
        return np.concatenate([self.centers, quaternions, self.fovs[:, None]], axis=1)

    @property
    def normals(self) -> NDArray[np.float64]:
        """(K, 3) of length 1, towards the observer."""
        return self.rotations[:, :, 2]

    def moved(self, actions: ArrayLike) -> Poses:
        """Each after its action (K, 7); as `apply_action`, to rounding.

        Raises
        ------
        MrisslError
            If there are not as many actions, or one is not finite.
        """
        a = np.asarray(actions, np.float64)
        if a.shape != (len(self), 7) or not np.isfinite(a).all():
            raise MrisslError(
                f"actions of shape {a.shape} or not finite",
                expected=f"seven finite numbers for each of {len(self)} poses",
            )
        shifts = np.einsum("kij,kj->ki", self.rotations, a[:, :3])
        turned = self.rotations @ matrices_from_axis_angles(a[:, 3:6])
        # One step of Newton's towards the nearest rotation: errors are of rounding only.
        turned = 0.5 * turned @ (3 * np.eye(3) - np.swapaxes(turned, 1, 2) @ turned)
        return Poses(
            self.centers + self.fovs[:, None] * shifts, turned, self.fovs * np.exp(a[:, 6])
        )
