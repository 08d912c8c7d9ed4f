"""Slices that are flown side by side: all moved at once, and cut by one call a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.environments.scenes import Scene
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation.demonstrations import LIMITS, STILL
from napari_mrissl.geometry import Pose, Poses
from napari_mrissl.geometry.rotations import matrix_from_axis_angle
from napari_mrissl.slicing import render
from napari_mrissl.trajectories.exchange.minari import REWARD_DEGREES, REWARD_MM

MM, DEGREES = REWARD_MM, REWARD_DEGREES
"""So far from the plane is worth a reward of one: as far as heads are displaced at most."""

VIEWS = 3
"""The slice itself, and the two that cross it in its middle, see `cloning.crossing`."""

_MOST_PIXELS = 1 << 30

_PARTS = (slice(0, 3), slice(3, 6), slice(6, 7))
_TURNS = np.stack(
    [matrix_from_axis_angle(turn) for turn in ((0, 0, 0), (np.pi / 2, 0, 0), (0, np.pi / 2, 0))]
)
_NOWHERE = Pose(np.zeros(3), np.eye(3), 1.0)


@dataclass(frozen=True, eq=False)
class Stepped:
    """What a step came to.

    Attributes
    ----------
    rewards
        (K,) float64: by how much each came nearer, in units of `MM` and `DEGREES`.
    terminated
        (K,) whether it stands still for the second time in a row: it says that it is there.
    truncated
        (K,) whether it has flown as many steps as it may.
    """

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


class Flying:
    """K slices over scenes.

    Parameters
    ----------
    count
        K.
    size
        Pixels N along a side.
    steps
        Most of a flight.
    percentiles
        Of a scan's values, that are shown as 0 and 1.
    """

    def __init__(self, count: int, size: int, steps: int, percentiles: tuple[float, float]) -> None:
        for name, number, most in (
            ("environments", count, 1 << 20), ("size", size, 4096), ("steps", steps, 1 << 31)
        ):  # fmt: skip
            if isinstance(number, bool) or not isinstance(number, int | np.integer):
                raise MrisslError(f"{name} {number!r}", expected="a whole number")
            if not 1 <= number <= most:
                raise MrisslError(f"{name} {number}", expected=f"1 to {most}")
        if count * size * size > _MOST_PIXELS:
            raise MrisslError(
                f"{count} environments of {size} x {size} pixels", expected="fewer, or smaller ones"
            )
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise MrisslError(f"percentiles {percentiles}", expected="0 <= low < high <= 100")
        self.size, self.steps = int(size), int(steps)
        self.percentiles = (float(percentiles[0]), float(percentiles[1]))
        self.poses = Poses.of([_NOWHERE] * count)
        self.scenes: list[Scene | None] = [None] * count
        self.numbers = np.zeros(count, np.int64)
        self._marks = np.zeros((count, 3))
        self._normals = np.tile(np.eye(3)[2], (count, 1))
        self._windows = np.tile([0.0, 1.0], (count, 1))
        self._flown = np.zeros(count, np.int64)
        self._still = np.zeros(count, np.int64)
        # Kept from step to step: new memory costs as much as what is written to it.
        self._values = np.empty((VIEWS * count, self.size, self.size), np.float32)
        self._valid = np.empty(self._values.shape, bool)

    def __len__(self) -> int:
        return len(self.scenes)

    def begin(self, which: int, number: int, scene: Scene, start: Pose | None = None) -> None:
        """Put one slice at the start of a flight over the scene of a number."""
        self.poses.put(which, start or scene.start)
        self.scenes[which] = scene
        self.numbers[which] = number
        self._marks[which] = scene.mark
        self._normals[which] = scene.target.normal
        self._windows[which] = scene.window(self.percentiles)
        self._flown[which] = self._still[which] = 0

    def step(self, actions: NDArray[np.floating], moving: NDArray[np.bool_]) -> Stepped:
        """Move those that are moving by their actions (K, 7), within the limits.

        Raises
        ------
        MrisslError
            If actions are not finite, or not as many.
        """
        a = np.where(moving[:, None], limited(actions), 0.0)
        before = self._away()
        moved = self.poses.moved(a)
        self.poses = Poses(
            np.where(moving[:, None], moved.centers, self.poses.centers),
            np.where(moving[:, None, None], moved.rotations, self.poses.rotations),
            np.where(moving, moved.fovs, self.poses.fovs),
        )
        self._flown += moving
        still = (np.abs(a) < STILL * LIMITS).all(axis=1) & moving
        self._still = np.where(moving, np.where(still, self._still + 1, 0), self._still)
        terminated = moving & (self._still == 2)
        truncated = moving & (self._flown >= self.steps) & ~terminated
        return Stepped(before - self._away(), terminated, truncated)

    def apart(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far each is from its plane: (K,) mm and (K,) degrees, see `standard_plane.apart`."""
        normals = self.poses.normals
        mm = np.abs(((self._marks - self.poses.centers) * normals).sum(axis=1))
        along = np.abs((normals * self._normals).sum(axis=1))
        across = np.linalg.norm(np.cross(normals, self._normals), axis=1)
        return mm, np.degrees(np.arctan2(across, along))

    def seen(self) -> NDArray[np.float32]:
        """(K, 3, 2, N, N): three crossing slices of each, as grey values in [0, 1] and validity.

        A scan that is flown over by several is rendered once for all of them.
        """
        size = self.size
        found = np.zeros((len(self), VIEWS, 2, size, size), np.float32)
        for scene, which in self._groups():
            every = len(which) == len(self)
            poses = _crossing(self.poses if every else self.poses.chosen(which))
            values, valid = self._values[: len(poses)], self._valid[: len(poses)]
            render(scene.blocked, poses, size, out=values, valid_out=valid)
            low, high = self._windows[which[0]].tolist()
            for k, number in enumerate(which):
                # One after the other, so that what is worked on stays in the cache.
                mine = slice(k * VIEWS, (k + 1) * VIEWS)
                _scale(values[mine], valid[mine], low, high, found[number])
        return found

    def _away(self) -> NDArray[np.float64]:
        mm, degrees = self.apart()
        return mm / MM + degrees / DEGREES

    def _groups(self) -> list[tuple[Scene, NDArray[np.int64]]]:
        """Each scene with those that fly over it."""
        groups: dict[int, list[int]] = {}
        for number, scene in enumerate(self.scenes):
            groups.setdefault(id(scene), []).append(number)
        found = []
        for members in groups.values():
            scene = self.scenes[members[0]]
            if scene is None:
                raise MrisslError("nothing is flown over yet", remedy="reset first")
            found.append((scene, np.array(members)))
        return found


def limited(actions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Actions (K, 7) within the limits, as `demonstrations.clipped` has them."""
    a = np.array(actions, np.float64)
    for part in _PARTS:
        lengths = np.linalg.norm(a[:, part], axis=1, keepdims=True)
        a[:, part] *= np.minimum(1, LIMITS[part][0] / np.maximum(lengths, 1e-300))
    return a


def _scale(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
    low: float,
    high: float,
    out: NDArray[np.float32],
) -> None:
    """Rendered values (3, N, N) as grey values and validity into zeros (3, 2, N, N)."""
    # Only NaN differs from itself; it counts as outside, where everything is 0.
    np.logical_and(valid, values == values, out=valid)
    values -= np.float32(low)
    values *= np.float32(1 / (high - low))
    np.clip(values, 0, 1, out=values)
    np.copyto(out[:, 0], values, where=valid)
    out[:, 1] = valid


def _crossing(poses: Poses) -> Poses:
    """Each pose, and it turned by a quarter about its own right and about its own up (3 K)."""
    turned = poses.rotations[:, None] @ _TURNS
    return Poses(
        np.repeat(poses.centers, VIEWS, axis=0),
        turned.reshape(-1, 3, 3),
        np.repeat(poses.fovs, VIEWS),
    )
