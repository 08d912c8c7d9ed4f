"""What is known of a method without torch: its name, its settings, its presets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from napari_mrissl.pretext.task import Task

Preset = Mapping[str, Mapping[str, Any]]
"""``{"task": {...}, "optimisation": {...}, "data": {...}}``: what differs from the defaults."""

PRESETS = ("tiny", "cpu", "gpu")
"""Names that every method has presets for; ``tiny`` ends within a minute on two cores."""


class TaskSettings(BaseModel):
    """What a method lets the user choose; every field has a title and a description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def begins_anew(self) -> bool:
        """Whether these need no other method's weights, though others of the method do."""
        return False


@dataclass(frozen=True)
class TaskInfo:
    """One method, as lists and forms show it.

    Attributes
    ----------
    name
        What the command line calls it, e.g. ``"vectorpose"``.
    title, description
        For people: a few words, and one sentence.
    source
        The arXiv id, or ``""``.
    settings
        The pydantic model of its settings.
    presets
        By name, at least `PRESETS`.
    load
        Imports torch and gives the task's class.
    paints
        Whether it paints all its images from labels, so that no scan's grey values are scaled.
    begins_from
        The method whose weights it must begin from, with the shape of their backbone; or ``""``.
    """

    name: str
    title: str
    description: str
    source: str
    settings: type[TaskSettings]
    presets: Mapping[str, Preset]
    load: Callable[[], type[Task[Any]]]
    paints: bool = False
    begins_from: str = ""
