"""Prompts: clicks and scribble voxels with classes, in world millimetres."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_mrissl.geometry import apply_affine
from napari_mrissl.volumes import Volume

Kind = Literal["click", "scribble"]
Label = Annotated[int, Field(ge=1, le=255, strict=True)]
Millimetres = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]

_NOTHING_IN_PARTICULAR = frozenset({"background", "outside", "air"})

_COLORS = (
    "#e6550d", "#3182bd", "#31a354", "#756bb1", "#fdd049",
    "#e377c2", "#17becf", "#8c564b", "#bcbd22", "#7f7f7f",
)  # fmt: skip


class PromptClass(BaseModel):
    """One class: its label in the result, a name and a colour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Label
    name: str = Field(max_length=200)
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")

    @classmethod
    def default(cls, label: int) -> PromptClass:
        """A class nobody named yet."""
        return cls(label=label, name=f"class {label}", color=_COLORS[(label - 1) % len(_COLORS)])

    @property
    def is_background(self) -> bool:
        """Whether its name says that it is nothing in particular, which label maps call 0."""
        return self.name.strip().lower() in _NOTHING_IN_PARTICULAR


class PromptPoint(NamedTuple):
    """One labelled place: world RAS mm and the class's label; (x, y, z, label) will do."""

    x: Millimetres
    y: Millimetres
    z: Millimetres
    label: Label
    kind: Kind = "click"


class Prompts(BaseModel):
    """What the user marked, oldest first.

    Attributes
    ----------
    points
        Clicks and the centres of scribbled voxels.
    classes
        Sorted by label; classes that only the points name are added.
    volume_identity
        Identity of the scan they were placed on, if known.
    description
        Free text, e.g. how the points were placed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: tuple[PromptPoint, ...] = ()
    classes: tuple[PromptClass, ...] = ()
    volume_identity: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    description: str = Field(default="", max_length=10_000)

    @model_validator(mode="after")
    def _check_classes(self) -> Prompts:
        labels = [c.label for c in self.classes]
        if len(set(labels)) != len(labels):
            raise ValueError("two classes have the same label")
        missing = {p.label for p in self.points} - set(labels)
        classes = [*self.classes, *(PromptClass.default(label) for label in missing)]
        ordered = tuple(sorted(classes, key=lambda c: c.label))
        if ordered != self.classes:
            object.__setattr__(self, "classes", ordered)
        return self

    @classmethod
    def from_arrays(
        cls,
        positions: ArrayLike,
        labels: ArrayLike,
        classes: tuple[PromptClass, ...] = (),
        kind: Kind = "click",
    ) -> Prompts:
        """Prompts from (n, 3) RAS mm and (n,) labels."""
        places = np.asarray(positions, np.float64).reshape(-1, 3).tolist()
        points = tuple(
            PromptPoint(x, y, z, int(label), kind)
            for (x, y, z), label in zip(places, np.asarray(labels).tolist(), strict=True)
        )
        return cls(points=points, classes=classes)

    @property
    def positions(self) -> NDArray[np.float64]:
        """(n, 3) RAS mm."""
        return np.array([p[:3] for p in self.points], np.float64).reshape(-1, 3)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(n,) class labels."""
        return np.array([p.label for p in self.points], np.uint8)


class LabelledVoxels(NamedTuple):
    """Distinct voxels with one label each.

    Attributes
    ----------
    indices
        (n, 3) index (s, a, r), sorted in C order.
    labels
        (n,) uint8.
    outside
        How many prompts lay outside the volume.
    """

    indices: NDArray[np.intp]
    labels: NDArray[np.uint8]
    outside: int


def labelled_voxels(volume: Volume, prompts: Prompts) -> LabelledVoxels:
    """The nearest voxel of each prompt; clicks win over scribbles, then the newest wins.

    A scribble covers many voxels in passing, a click means one.
    """
    clicked = np.array([p.kind == "click" for p in prompts.points], bool)
    order = np.argsort(clicked, kind="stable")
    places = apply_affine(volume.to_index, prompts.positions[order])
    index = np.rint(places).astype(np.intp)
    inside = ((index >= 0) & (index < volume.shape)).all(axis=1)
    labels = prompts.labels[order][inside]
    flat = np.ravel_multi_index(tuple(index[inside].T), volume.shape)
    voxels, last = np.unique(flat[::-1], return_index=True)
    indices = np.stack(np.unravel_index(voxels, volume.shape), axis=1)
    return LabelledVoxels(indices, labels[::-1][last], int((~inside).sum()))
