"""Slices of subjects with what probes ask about them: place, turn, plane, labels, order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.geometry import Pose, apply_action, relative_action
from napari_mrissl.pretext.navigation.flights import Flights, cut
from napari_mrissl.pretext.navigation.settings import FlightSettings
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.slicing import render_labels
from napari_mrissl.slicing.foreground import Foreground
from napari_mrissl.synthesis.draws import generator

PLANES = ("axial", "coronal", "sagittal")
_NORMALS = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], np.float64)
_APART = (0.02, 0.10)
_MOVED_FRAMES = 4

Tell = Callable[[float], object]


@dataclass(frozen=True)
class Amounts:
    """How much is drawn.

    Attributes
    ----------
    subjects
        At most so many.
    slices
        Of each subject, by themselves.
    pairs
        Of each subject, of either kind.
    """

    subjects: int = 32
    slices: int = 48
    pairs: int = 16


@dataclass(frozen=True, eq=False)
class ProbeSlices:
    """Slices, and what is true of them.

    Attributes
    ----------
    images
        (n, 2, N, N) float32, grey values and validity.
    subjects
        (n,) number of the scan's person.
    singles
        Numbers of the slices that are asked about by themselves.
    places
        (n, 3) centres in world mm, from the middle of the foreground's box: where a scanner
        puts its origin says nothing.
    rotations
        (n, 3, 3).
    fovs
        (n,) mm.
    moved, actions
        (m, 2) pairs of slices, and the actions (m, 7) that lead from first to second.
    ordered, later
        (m, 2) pairs of parallel slices, and (m,) whether the second lies along the normal.
    labels
        (n, N, N), where all scans have label maps.
    """

    images: NDArray[np.float32]
    subjects: NDArray[np.int64]
    singles: NDArray[np.int64]
    places: NDArray[np.float64]
    rotations: NDArray[np.float64]
    fovs: NDArray[np.float64]
    moved: NDArray[np.int64]
    actions: NDArray[np.float64]
    ordered: NDArray[np.int64]
    later: NDArray[np.bool_]
    labels: NDArray[np.int64] | None = None

    @property
    def planes(self) -> NDArray[np.int64]:
        """(n,) number in `PLANES` of the plane that each slice is next to."""
        along = np.abs(np.einsum("nx,px->np", self.rotations[:, :, 2], _NORMALS))
        nearest: NDArray[np.int64] = along.argmax(axis=1)
        return nearest


def draw(
    subjects: Subjects, amounts: Amounts, size: int, seed: int, tell: Tell = lambda part: None
) -> ProbeSlices:
    """Slices of subjects, by seed; single ones lie where training flights may begin.

    Parameters
    ----------
    subjects
        The first ones of these.
    amounts
        How many.
    size
        Pixels along a side.
    """
    flights = Flights(FlightSettings())
    count = min(len(subjects), amounts.subjects)
    scans = [subjects.scan(number) for number in range(count)]
    persons = {name: k for k, name in enumerate(dict.fromkeys(scan.subject for scan in scans))}
    parts: list[tuple[int, Scan, _Drawn]] = []
    for number, scan in enumerate(scans):
        rng = generator(seed, number, f"probe slices {scan.identity}")
        parts.append((persons[scan.subject], scan, _poses(flights, scan, amounts, rng)))
    labelled = all(scan.labels is not None for scan in scans)
    images, labels, rows = [], [], []
    for number, (person, scan, drawn) in enumerate(parts):
        grey, valid = cut(scan, tuple(drawn.poses), size)
        images.append(np.stack([grey, valid], axis=1).astype(np.float32))
        middle = drawn.foreground.box.mean(axis=0)
        rows += [(person, pose, pose.center - middle) for pose in drawn.poses]
        if labelled:
            labels.append(labels_at(scan, drawn.poses, size))
        tell((number + 1) / count)
    starts = np.cumsum([0] + [len(drawn.poses) for *_, drawn in parts])
    drawn_parts = [drawn for *_, drawn in parts]
    return ProbeSlices(
        np.concatenate(images),
        np.array([person for person, *_ in rows]),
        np.concatenate([start + np.arange(amounts.slices) for start in starts[:-1]]),
        np.stack([place for *_, place in rows]),
        np.stack([pose.rotation for _, pose, _ in rows]),
        np.array([pose.fov for _, pose, _ in rows]),
        _pairs(starts, [one.moved for one in drawn_parts]),
        np.array([a for one in drawn_parts for a in one.actions]).reshape(-1, 7),
        _pairs(starts, [one.ordered for one in drawn_parts]),
        np.array([later for one in drawn_parts for later in one.later], np.bool_),
        np.concatenate(labels) if labelled else None,
    )


def labels_at(scan: Scan, poses: Sequence[Pose], size: int) -> NDArray[np.int64]:
    """(K, size, size) the scan's labels on slices; the scan has some."""
    assert scan.labels is not None  # noqa: S101 - asked before
    affine = scan.volume.affine
    shown = [render_labels(scan.labels, affine, pose.grid(size), (1, size, size)) for pose in poses]
    return np.concatenate(shown).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Drawn:
    poses: list[Pose]
    moved: list[tuple[int, int]]
    actions: list[NDArray[np.float64]]
    ordered: list[tuple[int, int]]
    later: list[bool]
    foreground: Foreground


def _poses(flights: Flights, scan: Scan, amounts: Amounts, rng: np.random.Generator) -> _Drawn:
    foreground = Foreground.of(scan.volume)
    poses = [_one(flights, scan, rng, 1)[0] for _ in range(amounts.slices)]
    moved, actions, ordered, later = [], [], [], []
    for _ in range(amounts.pairs):
        flight = _one(flights, scan, rng, _MOVED_FRAMES)
        moved.append((len(poses), len(poses) + 1))
        poses += [flight[0], flight[-1]]
        actions.append(relative_action(flight[0], flight[-1]))
    for _ in range(amounts.pairs):
        first = _one(flights, scan, rng, 1)[0]
        way = float(rng.uniform(*_APART)) * rng.choice((-1, 1))
        second = apply_action(first, [0, 0, way, 0, 0, 0, 0])
        if not foreground.contains(second.center):
            way, second = -way, apply_action(first, [0, 0, -way, 0, 0, 0, 0])
        ordered.append((len(poses), len(poses) + 1))
        poses += [first, second]
        later.append(way > 0)
    return _Drawn(poses, moved, actions, ordered, later, foreground)


def _one(flights: Flights, scan: Scan, rng: np.random.Generator, frames: int) -> tuple[Pose, ...]:
    return flights.fly(scan, "walk", frames, int(rng.integers(1 << 62)))


def _pairs(
    starts: NDArray[np.integer], parts: Sequence[Sequence[tuple[int, int]]]
) -> NDArray[np.int64]:
    pairs = [
        (start + a, start + b)
        for start, part in zip(starts[:-1], parts, strict=True)
        for a, b in part
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)
