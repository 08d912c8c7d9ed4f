"""What the user marked on one scan, with undo and redo; no Qt, no napari.

Clicks are few and kept as they are; scribbles are many and kept as sorted voxel
numbers with labels, so that an undo step costs what changed and not what is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry import apply_affine
from napari_mrissl.segmentation.prompts import PromptClass, PromptPoint, Prompts
from napari_mrissl.volumes import Volume

# Places read back from a layer are rounded; nobody clicks twice this close.
_SAME_MM = 1e-3

Click = tuple[float, float, float, int]
"""World RAS mm and the label."""


@dataclass(frozen=True, eq=False)
class Scribble:
    """Labels painted on voxels.

    Attributes
    ----------
    voxels
        (n,) int64 flat C-order indices on the volume's (S, A, R) grid, ascending.
    labels
        (n,) uint8; in a change, 0 means erased.
    """

    voxels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __len__(self) -> int:
        return len(self.voxels)

    def at(self, voxels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The labels at these voxels, 0 where nothing was painted."""
        found = np.zeros(len(voxels), np.uint8)
        if len(self.voxels):
            place = np.minimum(np.searchsorted(self.voxels, voxels), len(self.voxels) - 1)
            there = self.voxels[place] == voxels
            found[there] = self.labels[place[there]]
        return found

    def painted(self, change: Scribble) -> Scribble:
        """These labels with a change on top."""
        kept = ~np.isin(self.voxels, change.voxels, assume_unique=True)
        voxels = np.concatenate([self.voxels[kept], change.voxels])
        labels = np.concatenate([self.labels[kept], change.labels])
        order = np.argsort(voxels, kind="stable")
        order = order[labels[order] > 0]
        return Scribble(voxels[order], labels[order])


@dataclass(frozen=True, eq=False)
class Change:
    """One undoable step: what was, and what is instead; None where a part stayed."""

    clicks: tuple[tuple[Click, ...], tuple[Click, ...]] | None = None
    scribble: tuple[Scribble, Scribble] | None = None
    classes: tuple[tuple[PromptClass, ...], tuple[PromptClass, ...]] | None = None

    def reversed(self) -> Change:
        """The step that takes this one back."""
        return Change(
            self.clicks and self.clicks[::-1],
            self.scribble and self.scribble[::-1],
            self.classes and self.classes[::-1],
        )


@dataclass(frozen=True, eq=False)
class PromptSnapshot:
    """Prompts as they were at one moment; making `Prompts` of them is left to the reader."""

    volume: Volume
    clicks: tuple[Click, ...]
    scribble: Scribble
    classes: tuple[PromptClass, ...]

    def prompts(self, identity: str | None = None) -> Prompts:
        """Everything marked, scribbles first so that a click on one wins.

        Not validated again, since every part was when it came in: with many scribbled
        voxels that would take longer than the fit.
        """
        return Prompts.model_construct(
            points=scribble_points(self.volume, self.scribble)
            + tuple(PromptPoint(*click) for click in self.clicks),
            classes=self.classes,
            volume_identity=identity,
        )


class PromptState:
    """Classes, clicks and scribbles of one scan.

    Parameters
    ----------
    volume
        The scan; prompts never move to another one.
    classes
        To start with.
    depth
        How many steps can be taken back.
    """

    def __init__(self, volume: Volume, classes: tuple[PromptClass, ...], depth: int = 1000) -> None:
        self.volume = volume
        self.classes = classes
        self.clicks: tuple[Click, ...] = ()
        self.scribble = Scribble()
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._depth = depth

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back and nothing was changed since."""
        return bool(self._undone)

    @property
    def empty(self) -> bool:
        """Whether nothing is marked."""
        return not self.clicks and len(self.scribble) == 0

    def labels_in_use(self) -> set[int]:
        """Labels with at least one click or scribbled voxel."""
        return {click[3] for click in self.clicks} | set(np.unique(self.scribble.labels).tolist())

    def set_clicks(self, clicks: tuple[Click, ...]) -> Change | None:
        """Replace the clicks; None when they are the same."""
        if clicks == self.clicks:
            return None
        return self._do(Change(clicks=(self.clicks, clicks)))

    def paint(self, voxels: ArrayLike, labels: ArrayLike) -> Change | None:
        """Paint (n,) flat voxel numbers with (n,) labels, 0 to erase; None if nothing changes.

        A paint that exactly takes back the newest step counts as an undo, and one
        that repeats the step undone last counts as a redo: napari's own Labels
        undo arrives here as painted voxels.
        """
        flat, first = np.unique(np.asarray(voxels, np.int64), return_index=True)
        new = np.broadcast_to(np.asarray(labels, np.uint8), np.shape(voxels))[first]
        old = self.scribble.at(flat)
        differs = old != new
        if not differs.any():
            return None
        flat, old, new = flat[differs], old[differs], new[differs]
        change = Change(scribble=(Scribble(flat, old), Scribble(flat, new)))
        if self._done and _same_scribble(self._done[-1].reversed(), change):
            return self.undo()
        if self._undone and _same_scribble(self._undone[-1], change):
            return self.redo()
        return self._do(change)

    def set_classes(self, classes: tuple[PromptClass, ...]) -> Change | None:
        """Replace the classes; prompts of classes that are gone go with them."""
        ordered = tuple(sorted(classes, key=lambda one: one.label))
        if ordered == self.classes:
            return None
        labels = [one.label for one in ordered]
        clicks = tuple(click for click in self.clicks if click[3] in labels)
        orphans = self.scribble.voxels[~np.isin(self.scribble.labels, labels)]
        erased = Scribble(orphans, np.zeros(len(orphans), np.uint8))
        return self._do(
            Change(
                clicks=(self.clicks, clicks) if clicks != self.clicks else None,
                scribble=(Scribble(orphans, self.scribble.at(orphans)), erased)
                if len(orphans)
                else None,
                classes=(self.classes, ordered),
            )
        )

    def replace(self, prompts: Prompts) -> Change | None:
        """Put loaded or recovered prompts in place of everything, as one step."""
        scribbled = [p for p in prompts.points if p.kind == "scribble"]
        clicks = tuple(_click(p) for p in prompts.points if p.kind == "click")
        target = self._scribble_from(scribbled)
        voxels = np.union1d(self.scribble.voxels, target.voxels)
        old, new = self.scribble.at(voxels), target.at(voxels)
        differs = old != new
        voxels, old, new = voxels[differs], old[differs], new[differs]
        classes = prompts.classes or self.classes
        change = Change(
            clicks=(self.clicks, clicks) if clicks != self.clicks else None,
            scribble=(Scribble(voxels, old), Scribble(voxels, new)) if len(voxels) else None,
            classes=(self.classes, classes) if classes != self.classes else None,
        )
        if change.clicks is None and change.scribble is None and change.classes is None:
            return None
        return self._do(change)

    def undo(self) -> Change | None:
        """Take the newest step back; what changed, or None."""
        if not self._done:
            return None
        change = self._done.pop()
        self._undone.append(change)
        self._apply(change.reversed())
        return change.reversed()

    def redo(self) -> Change | None:
        """Do the step again that was undone last; what changed, or None."""
        if not self._undone:
            return None
        change = self._undone.pop()
        self._done.append(change)
        self._apply(change)
        return change

    def snapshot(self) -> PromptSnapshot:
        """What is marked now, for another thread."""
        return PromptSnapshot(self.volume, self.clicks, self.scribble, self.classes)

    def holds(self, snapshot: PromptSnapshot) -> bool:
        """Whether nothing changed since a snapshot."""
        return (
            snapshot.clicks is self.clicks
            and snapshot.scribble is self.scribble
            and snapshot.classes is self.classes
        )

    def contains(self, prompts: Prompts) -> bool:
        """Whether every mark of some prompts is here with its label, within 0.001 mm."""
        scribble = self._scribble_from([p for p in prompts.points if p.kind == "scribble"])
        if (self.scribble.at(scribble.voxels) != scribble.labels).any():
            return False
        ours = np.array(self.clicks, np.float64).reshape(-1, 4)
        return all(
            (np.abs(ours - _click(p)).max(axis=1) < _SAME_MM).any()
            for p in prompts.points
            if p.kind == "click"
        )

    def _scribble_from(self, points: list[PromptPoint]) -> Scribble:
        if not points:
            return Scribble()
        places = np.array([p[:3] for p in points], np.float64)
        index = np.rint(apply_affine(self.volume.to_index, places)).astype(np.int64)
        inside = ((index >= 0) & (index < self.volume.shape)).all(axis=1)
        labels = np.array([p.label for p in points], np.uint8)[inside]
        flat: Any = np.ravel_multi_index(tuple(index[inside].T), self.volume.shape)
        # Reversed, because of several labels on one voxel the newest counts.
        voxels, newest = np.unique(flat[::-1], return_index=True)
        return Scribble(voxels.astype(np.int64), labels[::-1][newest])

    def _do(self, change: Change) -> Change:
        self._done = [*self._done, change][-self._depth :]
        self._undone.clear()
        self._apply(change)
        return change

    def _apply(self, change: Change) -> None:
        if change.clicks is not None:
            self.clicks = change.clicks[1]
        if change.scribble is not None:
            self.scribble = self.scribble.painted(change.scribble[1])
        if change.classes is not None:
            self.classes = change.classes[1]


def scribble_points(volume: Volume, scribble: Scribble) -> tuple[PromptPoint, ...]:
    """A scribble's voxel centres in RAS mm, as prompts."""
    index = np.stack(np.unravel_index(scribble.voxels, volume.shape), axis=-1)
    places = apply_affine(volume.affine, index).tolist()
    return tuple(
        PromptPoint(x, y, z, label, "scribble")
        for (x, y, z), label in zip(places, scribble.labels.tolist(), strict=True)
    )


def _click(point: PromptPoint) -> Click:
    return (float(point.x), float(point.y), float(point.z), int(point.label))


def _same_scribble(one: Change, other: Change) -> bool:
    if one.clicks or one.classes or one.scribble is None or other.scribble is None:
        return False
    ours, theirs = one.scribble[1], other.scribble[1]
    return np.array_equal(ours.voxels, theirs.voxels) and np.array_equal(ours.labels, theirs.labels)
