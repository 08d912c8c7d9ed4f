"""Edits of prompts as plain values, as the journal keeps them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation.prompts import (
    Label,
    Millimetres,
    PromptClass,
    PromptPoint,
    Prompts,
)

Place = tuple[Millimetres, Millimetres, Millimetres]
Index = Annotated[int, Field(ge=0)]


class _Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Add(_Edit):
    """New points at the end."""

    edit: Literal["add"] = "add"
    points: tuple[PromptPoint, ...]

    def apply(self, prompts: Prompts) -> Prompts:
        """The prompts after this edit."""
        return _changed(prompts, points=prompts.points + self.points)


class Remove(_Edit):
    """Points taken away, by their place in the list."""

    edit: Literal["remove"] = "remove"
    indices: tuple[Index, ...]

    def apply(self, prompts: Prompts) -> Prompts:
        """The prompts after this edit."""
        gone = set(self.indices)
        _check_indices(gone, prompts)
        kept = tuple(p for i, p in enumerate(prompts.points) if i not in gone)
        return _changed(prompts, points=kept)


class Move(_Edit):
    """One point put elsewhere (RAS mm)."""

    edit: Literal["move"] = "move"
    index: Index
    to: Place

    def apply(self, prompts: Prompts) -> Prompts:
        """The prompts after this edit."""
        _check_indices({self.index}, prompts)
        old = prompts.points[self.index]
        points = list(prompts.points)
        points[self.index] = PromptPoint(*self.to, old.label, old.kind)
        return _changed(prompts, points=tuple(points))


class Paint(_Edit):
    """Scribble voxels (centres in RAS mm) set to a label, or erased by label 0."""

    edit: Literal["paint"] = "paint"
    positions: tuple[Place, ...]
    label: Annotated[int, Field(ge=0, le=255, strict=True)]

    def apply(self, prompts: Prompts) -> Prompts:
        """The prompts after this edit."""
        painted = {_rounded(place) for place in self.positions}
        kept = tuple(
            p for p in prompts.points if p.kind != "scribble" or _rounded(p[:3]) not in painted
        )
        new = (PromptPoint(*place, self.label, "scribble") for place in self.positions)
        return _changed(prompts, points=(*kept, *new) if self.label else kept)


class SetClass(_Edit):
    """A class added, or renamed, or given another colour."""

    edit: Literal["class"] = "class"
    new: PromptClass

    def apply(self, prompts: Prompts) -> Prompts:
        """The prompts after this edit."""
        others = tuple(c for c in prompts.classes if c.label != self.new.label)
        return _changed(prompts, classes=(*others, self.new))


class RemoveClass(_Edit):
    """A class taken away with all its points."""

    edit: Literal["remove class"] = "remove class"
    label: Label

    def apply(self, prompts: Prompts) -> Prompts:
        """The prompts after this edit."""
        return _changed(
            prompts,
            points=tuple(p for p in prompts.points if p.label != self.label),
            classes=tuple(c for c in prompts.classes if c.label != self.label),
        )


class Replace(_Edit):
    """Everything at once: a loaded file, an undo, a redo."""

    edit: Literal["replace"] = "replace"
    prompts: Prompts

    def apply(self, prompts: Prompts) -> Prompts:
        """The prompts after this edit."""
        return self.prompts


PromptEdit = Annotated[
    Add | Remove | Move | Paint | SetClass | RemoveClass | Replace, Field(discriminator="edit")
]
EDITS: TypeAdapter[PromptEdit] = TypeAdapter(PromptEdit)


def _changed(
    prompts: Prompts,
    points: tuple[PromptPoint, ...] | None = None,
    classes: tuple[PromptClass, ...] | None = None,
) -> Prompts:
    return Prompts(
        points=prompts.points if points is None else points,
        classes=prompts.classes if classes is None else classes,
        volume_identity=prompts.volume_identity,
        description=prompts.description,
    )


def _check_indices(indices: set[int], prompts: Prompts) -> None:
    if indices and max(indices) >= len(prompts.points):
        raise MrisslError(
            f"prompt number {max(indices)}", expected=f"less than {len(prompts.points)}"
        )


def _rounded(place: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in place)
