"""The flights of samples: drawn by key, and cut out of their scans as frames in [0, 1].

Grey values are brought to [0, 1] for the whole volume, never for a slice: else brightness
would give away, or hide, where a slice lies.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.slice_stacks import STACKS, stack_poses
from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.pretext.navigation import recorded
from napari_mrissl.pretext.navigation.appearance import Recolouring, draw_recolouring, recolour
from napari_mrissl.pretext.navigation.settings import RECORDED, STACK, FlightSettings
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import SampleKey
from napari_mrissl.slicing import compiled, policies, render
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.slicing.policies import PolicySettings

_FOREGROUNDS = 512
"""Kept; each takes a quarter of a megabyte."""


@dataclass(frozen=True, eq=False)
class FlownPoses:
    """A flight before its frames are cut.

    Attributes
    ----------
    scan, number
        What is flown over, and which of the subjects it is.
    kind
        Of the policy, or ``"recorded"``.
    poses
        One for each of T frames.
    recolouring
        What happens to all grey values, or None.
    """

    scan: Scan
    number: int
    kind: str
    poses: tuple[Pose, ...]
    recolouring: Recolouring | None

    @property
    def rows(self) -> NDArray[np.float64]:
        """(T, 8) in the order of `POSE_COLUMNS`."""
        return np.stack([pose.to_row() for pose in self.poses])

    @property
    def actions(self) -> NDArray[np.float64]:
        """(T - 1, 7): action t leads from frame t to frame t + 1."""
        return actions_of(self.poses)


class Flights:
    """Draws flights.

    Parameters
    ----------
    settings
        Which.
    """

    def __init__(self, settings: FlightSettings) -> None:
        self.settings = settings
        self._ranges = PolicySettings(turns=settings.turns)
        self._foregrounds: OrderedDict[str, Foreground] = OrderedDict()

    def draw(self, subjects: Subjects, key: SampleKey) -> FlownPoses:
        """The flight of a sample: nothing but key, settings and subjects decide on it.

        Raises
        ------
        MrisslError
            If flights are recorded ones and the subject has none that is long enough.
        """
        rng = key.generator("flight")
        number = int(rng.integers(len(subjects)))
        scan = subjects.scan(number)
        settings = self.settings
        if settings.recorded:
            kind, poses = RECORDED, self._recorded(scan, rng)
        else:
            weights = settings.weights
            shares = np.array(list(weights.values())) / sum(weights.values())
            kind = str(rng.choice(list(weights), p=shares))
            poses = self.fly(scan, kind, settings.frames, int(rng.integers(1 << 62)))
        return FlownPoses(scan, number, kind, poses, self.recolouring(key))

    def recolouring(self, key: SampleKey) -> Recolouring | None:
        """The other look of a sample's flight, where it has one."""
        rng = key.generator("colours")
        return draw_recolouring(rng) if rng.random() < self.settings.recoloured else None

    def fly(self, scan: Scan, kind: str, frames: int, seed: int) -> tuple[Pose, ...]:
        """A flight of one kind by policy."""
        foreground = self._foreground(scan)
        if kind == STACK:
            return stacked(scan, foreground, frames, seed)
        policy = cast("policies.Policy", kind)
        return tuple(
            policies.generate(
                scan.volume, policy, frames, seed, self._ranges, foreground=foreground
            )
        )

    def action(self, scan: Scan, seed: Sequence[int]) -> NDArray[np.float64]:
        """One action (7,) of one flight, of the kinds that are flown by policy."""
        rng = np.random.default_rng(seed)
        shares = self.settings.shares_flown
        kind = str(rng.choice(list(shares), p=list(shares.values())))
        poses = self.fly(scan, kind, max(2, self.settings.frames), int(rng.integers(1 << 62)))
        actions = actions_of(poses)
        drawn: NDArray[np.float64] = actions[int(rng.integers(len(actions)))]
        return drawn

    def _foreground(self, scan: Scan) -> Foreground:
        found = self._foregrounds.get(scan.identity)
        if found is None:
            # Else numpy would look at the first squares, and the kernel at later ones.
            compiled.settle("labels", np.dtype(np.uint8))
            found = Foreground.of(scan.volume)
            self._foregrounds[scan.identity] = found
            while len(self._foregrounds) > _FOREGROUNDS:
                self._foregrounds.popitem(last=False)
        return found

    def _recorded(self, scan: Scan, rng: np.random.Generator) -> tuple[Pose, ...]:
        frames = self.settings.frames
        stretches = recorded.known(self.settings.recorded).get(scan.identity, ())
        counts = np.array([max(0, len(rows) - frames + 1) for rows in stretches], np.int64)
        if not counts.sum():
            raise MrisslError(
                f"no recorded flight of {frames} frames",
                where=scan.subject,
                remedy="leave this scan out, or record flights over it",
            )
        window = int(rng.integers(counts.sum()))
        stretch = int(np.searchsorted(np.cumsum(counts), window, side="right"))
        first = window - int(counts[:stretch].sum())
        return tuple(Pose.from_row(row) for row in stretches[stretch][first : first + frames])


def stacked(scan: Scan, foreground: Foreground, frames: int, seed: int) -> tuple[Pose, ...]:
    """Slices of one stack along an axis of the scan, all of it in view, in no order.

    They lie at whole voxels where at least a tenth shows foreground, as frames of flights do;
    each is taken once, if there are enough.
    """
    rng = np.random.default_rng(seed)
    axis = int(rng.integers(len(STACKS)))
    volume = scan.volume
    levels = rng.permutation(volume.shape[axis]).astype(np.float64)
    poses = stack_poses(volume, STACKS[axis], levels, float(volume.extent.max()))
    shown = [foreground.fraction(pose) for pose in poses]
    least = min(PolicySettings().least_foreground, max(shown))
    kept = [pose for pose, part in zip(poses, shown, strict=True) if part >= least]
    return tuple(itertools.islice(itertools.cycle(kept), frames))


def actions_of(poses: tuple[Pose, ...]) -> NDArray[np.float64]:
    """(T - 1, 7) the actions that lead from each pose to the next."""
    pairs = [relative_action(start, end) for start, end in itertools.pairwise(poses)]
    return np.array(pairs, np.float64).reshape(-1, 7)


def frames_of(flight: FlownPoses, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Grey values (T, size, size) in [0, 1], 0 outside the scan, and whether pixels lie inside.

    Pixels next to a NaN voxel count as outside.
    """
    return cut(flight.scan, flight.poses, size, flight.recolouring)


def cut(
    scan: Scan, poses: tuple[Pose, ...], size: int, recolouring: Recolouring | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """As `frames_of`, of any poses."""
    compiled.settle("linear", scan.volume.data.dtype)
    values, valid = render(scan.volume, poses, size)
    return scaled(values, valid, scan, poses, size, recolouring)


def scaled(
    values: Any,
    valid: Any,
    scan: Scan,
    poses: tuple[Pose, ...],
    size: int,
    recolouring: Recolouring | None,
) -> tuple[Any, Any]:
    """Rendered values as grey values in [0, 1]; arrays, or tensors on any device."""
    # Only NaN differs from itself, in arrays and tensors alike.
    valid = valid & (values == values)
    grey = ((values - scan.low) * (1 / (scan.high - scan.low))).clip(0, 1)
    if recolouring is not None:
        grey = recolour(grey, recolouring, scan.volume, poses, size)
    # What is no number is outside, where everything is 0.
    if isinstance(grey, np.ndarray):
        return np.where(valid, grey, 0).astype(np.float32), valid
    return grey.where(valid, grey.new_zeros(())), valid
