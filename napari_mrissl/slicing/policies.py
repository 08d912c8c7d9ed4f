"""Navigation policies: flights through the foreground of a volume, made from a seed.

Kinds, ranges and weights are inferred: the method section of arXiv:2605.06487, which
trains on rendered flights, is not public. A flight is a start pose and constant or
randomly changing actions; where the next frame would leave the foreground it turns back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.geometry.rotations import matrix_from_axis_angle, matrix_from_quaternion
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.volumes.volume import Volume

Policy = Literal["scroll", "rotate", "zoom", "pan", "walk", "mixture"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

_START_TRIES = 200
_Action = NDArray[np.float64]
_PLANES = {  # normal, up in world RAS
    "axial": ((0, 0, 1), (0, 1, 0)),
    "coronal": ((0, -1, 0), (0, 0, 1)),
    "sagittal": ((1, 0, 0), (0, 0, 1)),
}


@dataclass(frozen=True)
class PolicySettings:
    """Ranges from which flights are drawn.

    Attributes
    ----------
    weights
        How often a stretch of a mixture is of each kind.
    stretch_frames
        Frames of one stretch of a mixture, smallest and largest.
    tilt_degrees, scroll_tilt_degrees
        Largest tilt of the start plane against axial, coronal or sagittal.
    any_orientation
        Probability of a start plane of any orientation at all; a scroll has none.
    fov_extents
        Start fov, as parts of the volume's largest side.
    scroll_extents
        Way of a whole scroll, as parts of the volume's width along the normal.
    rotate_degrees
        Turn per frame about an axis in the plane.
    zoom_factor
        Factor of a whole zoom.
    pan_fov
        Way per frame within the plane, as parts of the fov.
    walk_theta
        Part of its velocity that a walk loses per frame (Ornstein-Uhlenbeck).
    walk_spread
        Standard deviations of a walk's seven velocities: fov, radians, log zoom.
    least_foreground
        Least part of a frame that shows foreground.
    turns
        Probability that a frame has a new velocity of its kind in place of the one before: with
        0 flights are even, with 1 nothing but an action says where the next frame lies.
    """

    weights: dict[str, float] = field(
        default_factory=lambda: {
            "scroll": 0.35, "rotate": 0.20, "zoom": 0.10, "pan": 0.10, "walk": 0.25
        }
    )  # fmt: skip
    stretch_frames: tuple[int, int] = (8, 32)
    tilt_degrees: float = 30.0
    scroll_tilt_degrees: float = 15.0
    any_orientation: float = 0.25
    fov_extents: tuple[float, float] = (0.5, 1.25)
    scroll_extents: tuple[float, float] = (0.2, 1.0)
    rotate_degrees: tuple[float, float] = (2.0, 8.0)
    zoom_factor: tuple[float, float] = (0.5, 2.0)
    pan_fov: tuple[float, float] = (0.02, 0.06)
    walk_theta: float = 0.15
    walk_spread: tuple[float, ...] = (0.015, 0.015, 0.015, 0.04, 0.04, 0.04, 0.02)
    least_foreground: float = 0.1
    turns: float = 0.0


def generate(
    volume: Volume,
    policy: Policy,
    frames: int,
    seed: int,
    settings: PolicySettings | None = None,
    progress: Callable[[float], None] | None = None,
    foreground: Foreground | None = None,
) -> list[Pose]:
    """A flight of ``frames`` poses through the foreground; the same seed gives the same one.

    Every pose follows from the one before by an action. A frame whose centre would leave
    the foreground's box, or that would show less than the least foreground, is refused:
    the flight turns back (a walk bounces off the box), and if that is refused as well it
    stays for a frame. Where 200 start poses all show too little foreground, the one that
    shows most is taken, and no frame shows less than that: so every call ends.
    ``progress`` hears the part done after every pose, and ends the flight by raising.
    ``foreground`` is that of the volume, where it is known already: finding it takes longer
    than a short flight.

    Raises
    ------
    MrisslError
        If the policy, the number of frames or the seed is not usable, or no voxel of the
        volume is finite.
    """
    if policy not in POLICIES:
        raise MrisslError(f"policy {policy!r}", expected=" or ".join(POLICIES))
    for name, count, least in (("frames", frames, 1), ("seed", seed, 0)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < least:
            raise MrisslError(f"{name} {count!r}", expected=f"a whole number >= {least}")
    chosen = settings or PolicySettings()
    rng = np.random.default_rng(int(seed))
    found = Foreground.of(volume) if foreground is None else foreground
    return _Pilot(volume, found, chosen, rng).fly(policy, int(frames), progress)


class _Pilot:
    """Draws actions and looks where they lead."""

    def __init__(
        self,
        volume: Volume,
        foreground: Foreground,
        settings: PolicySettings,
        rng: np.random.Generator,
    ) -> None:
        self.volume = volume
        self.foreground = foreground
        self.settings = settings
        self.rng = rng
        self.least = settings.least_foreground

    def fly(
        self, policy: Policy, frames: int, progress: Callable[[float], None] | None
    ) -> list[Pose]:
        kind, stretch = self._stretch(policy, frames)
        poses = [self._start(kind)]
        velocity = self._velocity(kind, poses[0], stretch)
        steps = stretch
        while len(poses) < frames:
            if stretch == 0:
                kind, steps = self._stretch(policy, frames - len(poses))
                stretch = steps
                velocity = self._velocity(kind, poses[-1], steps)
            elif self.settings.turns and self.rng.random() < self.settings.turns:
                velocity = self._velocity(kind, poses[-1], steps)
            pose, velocity = self._next(kind, poses[-1], velocity)
            poses.append(pose)
            stretch -= 1
            if kind == "walk":
                velocity = self._walk_on(velocity)
            if progress is not None:
                progress(len(poses) / frames)
        return poses

    def _stretch(self, policy: Policy, frames: int) -> tuple[str, int]:
        """Kind and number of steps of the next stretch."""
        if policy != "mixture":
            return policy, max(frames - 1, 1)
        low, high = self.settings.stretch_frames
        kinds = list(self.settings.weights)
        weights = np.array([self.settings.weights[k] for k in kinds])
        kind = str(self.rng.choice(kinds, p=weights / weights.sum()))
        return kind, int(self.rng.integers(low, high + 1))

    def _start(self, kind: str) -> Pose:
        best = self._drawn(kind)
        most = self.foreground.fraction(best)
        for _ in range(_START_TRIES - 1):
            if most >= self.settings.least_foreground:
                break
            pose = self._drawn(kind)
            fraction = self.foreground.fraction(pose)
            if fraction > most:
                best, most = pose, fraction
        self.least = min(self.settings.least_foreground, most)
        return best

    def _drawn(self, kind: str) -> Pose:
        return Pose(
            np.asarray(self.rng.uniform(*self.foreground.box)),
            self._orientation(kind),
            float(self.volume.extent.max()) * self._log_uniform(self.settings.fov_extents),
        )

    def _orientation(self, kind: str) -> NDArray[np.float64]:
        settings, rng = self.settings, self.rng
        if kind != "scroll" and rng.random() < settings.any_orientation:
            # Four normal numbers point evenly over the sphere of unit quaternions.
            return matrix_from_quaternion(rng.normal(size=4))
        normal, up = _PLANES[str(rng.choice(list(_PLANES)))]
        axis = rng.normal(size=3)
        largest = settings.scroll_tilt_degrees if kind == "scroll" else settings.tilt_degrees
        angle = np.radians(rng.uniform(0, largest))
        plane = Pose.from_normal_up((0, 0, 0), normal, up, 1.0).rotation
        tilted: NDArray[np.float64] = (
            matrix_from_axis_angle(angle * axis / np.linalg.norm(axis)) @ plane
        )
        return tilted

    def _velocity(self, kind: str, pose: Pose, steps: int) -> _Action:
        """A first action of a kind."""
        settings, rng = self.settings, self.rng
        action = np.zeros(7)
        if kind == "scroll":
            sides = np.abs(pose.normal @ self.volume.affine[:3, :3]) * self.volume.shape
            way = rng.uniform(*settings.scroll_extents) * float(sides.sum())
            action[2] = rng.choice((-1, 1)) * way / (steps * pose.fov)
        elif kind == "rotate":
            angle = np.radians(rng.uniform(*settings.rotate_degrees))
            around = rng.uniform(0, 2 * np.pi)
            action[3:5] = angle * np.cos(around), angle * np.sin(around)
        elif kind == "zoom":
            action[6] = np.log(self._log_uniform(settings.zoom_factor)) / steps
        elif kind == "pan":
            way = rng.uniform(*settings.pan_fov)
            around = rng.uniform(0, 2 * np.pi)
            action[:2] = way * np.cos(around), way * np.sin(around)
        else:
            action = rng.normal(size=7) * settings.walk_spread
        return action

    def _walk_on(self, velocity: _Action) -> _Action:
        keep = 1 - self.settings.walk_theta
        spread = np.sqrt(1 - keep**2) * np.array(self.settings.walk_spread)
        walked: _Action = keep * velocity + spread * self.rng.normal(size=7)
        return walked

    def _next(self, kind: str, pose: Pose, velocity: _Action) -> tuple[Pose, _Action]:
        """The next accepted pose and the velocity that led there."""
        turned = self._bounced(pose, velocity) if kind == "walk" else -velocity
        for action in (velocity, turned, -velocity):
            moved = apply_action(pose, action)
            if (
                self.foreground.contains(moved.center)
                and self.foreground.fraction(moved) >= self.least
            ):
                return moved, action
        return pose, turned

    def _bounced(self, pose: Pose, velocity: _Action) -> _Action:
        """Velocity with the world components reversed that lead out of the box."""
        way = pose.rotation @ velocity[:3]
        place = pose.center + pose.fov * way
        low, high = self.foreground.box
        way = np.where((place < low) | (place > high), -way, way)
        return np.concatenate([pose.rotation.T @ way, velocity[3:]])

    def _log_uniform(self, bounds: tuple[float, float]) -> float:
        return float(np.exp(self.rng.uniform(*np.log(bounds))))
