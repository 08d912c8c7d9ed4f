"""A robot user: knows the truth, looks at the result, and clicks where it is most wrong.

The field's protocol (RITM, arXiv:2102.06583; SimpleClick, arXiv:2210.11006): the next click is
the place farthest from the border of the largest wrong region, a place is never clicked twice,
and the number of clicks until a Dice is reached is counted. Inferred for several classes in 3D:
a wrong region is what hangs together by faces and truly is of one class, the click has that
class, and distances are in millimetres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FeatureStack
from napari_mrissl.geometry import apply_affine
from napari_mrissl.metrics import dice
from napari_mrissl.segmentation import (
    InstantSegmenter,
    PromptClass,
    PromptPoint,
    Prompts,
    Segmentation,
    SegmentSettings,
)
from napari_mrissl.volumes import Volume

Index = tuple[int, int, int]
Classes = NDArray[np.uint8]

BACKGROUND = 1
"""What the robot's prompts call voxels of no structure: prompts have no 0."""

_MOST_LABELS = 254


@dataclass(frozen=True, eq=False)
class Scene:
    """A scan whose truth the robot knows.

    Attributes
    ----------
    volume
        The scan.
    stack
        Its features.
    truth
        (S, A, R) classes: 1 for background, 2 onwards for labels in ascending order.
    count
        How many classes there can be, background among them.
    """

    volume: Volume
    stack: FeatureStack
    truth: Classes
    count: int

    @classmethod
    def of(
        cls,
        volume: Volume,
        stack: FeatureStack,
        labels: NDArray[np.integer],
        wanted: tuple[int, ...],
    ) -> Scene:
        """A scan with its label map, of which some labels are wanted; others are background.

        Raises
        ------
        MrisslError
            If the scan shows nothing that could be told from background, or labels are more
            than prompts can tell apart.
        """
        if len(wanted) > _MOST_LABELS:
            raise MrisslError(f"{len(wanted)} labels", expected=f"at most {_MOST_LABELS}")
        truth = np.full(volume.shape, BACKGROUND, np.uint8)
        for number, label in enumerate(sorted(wanted), BACKGROUND + 1):
            truth[labels == label] = number
        if len(np.unique(truth)) < 2:
            raise MrisslError(
                "a label map with one class only", expected="something to be told from background"
            )
        return cls(volume, stack, truth, len(wanted) + 1)

    def mean_dice(self, predicted: Classes) -> float:
        """Of all classes but background, in the scan or not."""
        scores = dice(predicted, self.truth, range(BACKGROUND + 1, self.count + 1))
        return float(np.mean(list(scores.values())))


class Moment(NamedTuple):
    """What there is to see before a click.

    Attributes
    ----------
    scene
        The scan.
    prompts
        What was clicked so far.
    result
        What came of it; None while fewer than two classes have a click.
    clicked
        (S, A, R) bool, where clicks are.
    """

    scene: Scene
    prompts: Prompts
    result: Segmentation | None
    clicked: NDArray[np.bool_]

    @property
    def predicted(self) -> Classes:
        """All background until there is a result."""
        if self.result is None:
            return np.full(self.scene.volume.shape, BACKGROUND, np.uint8)
        return self.result.labels


class Next(Protocol):
    """How the place of the next click is chosen."""

    def __call__(self, moment: Moment) -> Index | None:
        """A voxel (s, a, r), or None where there is none to click."""
        ...


@dataclass(frozen=True)
class Session:
    """All clicks of the robot in one scan.

    Attributes
    ----------
    prompts
        The clicks, oldest first.
    curve
        Mean Dice after each click, as many as were allowed; where the robot found nothing
        more to click, the last value stands for the rest.
    """

    prompts: Prompts
    curve: tuple[float, ...]


def click_through(
    scene: Scene,
    settings: SegmentSettings,
    clicks: int,
    choose: Next,
    told: Callable[[int], object] = lambda count: None,
) -> Session:
    """Click, look, click again; each click is answered by the classifier of the panel.

    The first clicks are one in each class that the scan has, largest first, in the middle of
    its largest part; they are counted. The following ones are chosen.

    Parameters
    ----------
    clicks
        How many, from 1.
    choose
        Where the next one is.
    told
        Hears the number of clicks after each; ends the session by raising.
    """
    volume = scene.volume
    segmenter = InstantSegmenter(volume, scene.stack, settings)
    first = first_places(scene)
    prompts = Prompts(volume_identity=volume.identity)
    clicked = np.zeros(volume.shape, bool)
    result: Segmentation | None = None
    curve: list[float] = []
    while len(curve) < clicks:
        place = first.pop(0) if first else choose(Moment(scene, prompts, result, clicked))
        if place is None:
            break
        clicked[place] = True
        prompts = _with_click(prompts, volume, place, int(scene.truth[place]))
        if len(prompts.classes) > 1:
            result = segmenter.fit(prompts).predict_volume()
        curve.append(scene.mean_dice(Moment(scene, prompts, result, clicked).predicted))
        told(len(curve))
    return Session(prompts, tuple(curve + curve[-1:] * (clicks - len(curve))))


def first_places(scene: Scene) -> list[Index]:
    """The middle of the largest part of each class, the class with most voxels first."""
    counts = np.bincount(scene.truth.reshape(-1), minlength=scene.count + 1)
    order = sorted(np.flatnonzero(counts), key=lambda k: (-counts[k], k))
    nowhere = np.zeros(scene.volume.shape, bool)
    found = [
        _middle_of_largest(np.where(scene.truth == k, scene.truth, 0), scene.volume, nowhere)
        for k in order
    ]
    return [place for place in found if place is not None]


def largest_error(moment: Moment) -> Index | None:
    """The middle of the largest wrong region; None where all is right or clicked already."""
    truth = moment.scene.truth
    wrong = np.where(moment.predicted != truth, truth, 0)
    return _middle_of_largest(wrong, moment.scene.volume, moment.clicked)


def anywhere(rng: np.random.Generator) -> Next:
    """Any voxel that was not clicked, all alike: active learning's usual rival."""

    def choose(moment: Moment) -> Index | None:
        return _one_of(~moment.clicked, rng)

    return choose


def any_class(rng: np.random.Generator) -> Next:
    """A class by chance, then any voxel of it: a user who goes by structures, not by errors."""

    def choose(moment: Moment) -> Index | None:
        truth = moment.scene.truth
        classes = np.unique(truth)
        return _one_of((truth == rng.choice(classes)) & ~moment.clicked, rng)

    return choose


def named(prompts: Prompts, names: Mapping[int, str]) -> Prompts:
    """The robot's clicks by the labels of its label map; background has the first free label.

    Parameters
    ----------
    prompts
        Of a session.
    names
        Of the labels that were wanted of the scene, all of them.

    Raises
    ------
    MrisslError
        If a label is larger than prompts can hold.
    """
    if max(names) > _MOST_LABELS + 1:
        raise MrisslError(f"label {max(names)}", expected=f"at most {_MOST_LABELS + 1}")
    nothing = next(label for label in range(1, _MOST_LABELS + 2) if label not in names)
    given = {BACKGROUND: nothing}
    given |= dict(enumerate(sorted(names), BACKGROUND + 1))
    return Prompts(
        points=tuple(point._replace(label=given[point.label]) for point in prompts.points),
        classes=tuple(
            PromptClass.default(label).model_copy(update={"name": name})
            for label, name in {**names, nothing: "background"}.items()
        ),
        volume_identity=prompts.volume_identity,
    )


def voxel_at(volume: Volume, place: Sequence[float]) -> Index | None:
    """The voxel nearest to a place in RAS mm; None outside the scan."""
    index = np.rint(apply_affine(volume.to_index, place)).astype(np.intp)
    if not ((index >= 0) & (index < volume.shape)).all():
        return None
    s, a, r = (int(part) for part in index)
    return s, a, r


def _one_of(voxels: NDArray[np.bool_], rng: np.random.Generator) -> Index | None:
    flat = np.flatnonzero(voxels)
    return _index(int(rng.choice(flat)), voxels.shape) if len(flat) else None


def _middle_of_largest(
    classes: Classes, volume: Volume, clicked: NDArray[np.bool_]
) -> Index | None:
    """The voxel of the largest region of one class that is farthest from the region's border.

    Regions hang together by faces; the scan's edge is a border too. Of equals the first.
    """
    from scipy.ndimage import find_objects
    from skimage.measure import label

    regions = label(classes, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    sizes = np.bincount(regions.reshape(-1))
    boxes = find_objects(regions)
    for number in 1 + np.argsort(-sizes[1:], kind="stable"):
        box = boxes[number - 1]
        inside = regions[box] == number
        place = _farthest_inside(inside, volume.spacing, clicked[box])
        if place is not None:
            s, a, r = (part.start + at for part, at in zip(box, place, strict=True))
            return s, a, r
    return None


def _farthest_inside(
    region: NDArray[np.bool_], spacing: NDArray[np.float64], clicked: NDArray[np.bool_]
) -> Index | None:
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(region, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    depth = np.where(clicked, 0, depth)
    at = int(depth.argmax())
    return _index(at, region.shape) if depth.flat[at] > 0 else None


def _index(flat: int, shape: tuple[int, ...]) -> Index:
    s, a, r = (int(part) for part in np.unravel_index(flat, shape))
    return s, a, r


def _with_click(prompts: Prompts, volume: Volume, place: Index, label: int) -> Prompts:
    x, y, z = (float(value) for value in apply_affine(volume.affine, place))
    points = (*prompts.points, PromptPoint(x, y, z, label))
    return Prompts(points=points, volume_identity=prompts.volume_identity)
