"""One sample as the studio shows it: all stages in the same order, whatever was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.synthesis.engine import TITLES, Engine, Stage
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.synthesis.templates import Templates

STAGES = tuple(TITLES)
"""Names of the stages, in their order."""

_MOST_SHOWN = 4
_WORDS = {"stds": "standard deviations", "skip_lowest": "empty background"}
_UNTOLD = frozenset(("key", "noise_stds"))
"""A number that means nothing by itself, and what the next stage tells."""


@dataclass(frozen=True)
class Request:
    """What a sample is made from, beside the templates.

    Attributes
    ----------
    settings
        As they are edited; their side is the one for training.
    seed, index
        Of the sample.
    side
        Voxels along each side of what is shown.
    """

    settings: EngineSettings
    seed: int = 0
    index: int = 0
    side: int = 64

    def at_side(self) -> EngineSettings:
        """The settings for what is shown; lengths stated for 128 voxels scale with it."""
        ensemble = self.settings.ensemble.model_copy(update={"side": self.side})
        return self.settings.model_copy(update={"ensemble": ensemble})


@dataclass(frozen=True, eq=False)
class Shown:
    """One stage.

    Attributes
    ----------
    name, title, kind
        As of the engine's `Stage`.
    arrays
        (S, S, S) of view A and view B; one alone where both share it.
    acted
        Of each array, whether the stage changed anything.
    drawn
        Of each array, what was drawn for it.
    """

    name: str
    title: str
    kind: Literal["labels", "image"]
    arrays: tuple[NDArray[Any], ...]
    acted: tuple[bool, ...]
    drawn: tuple[dict[str, Any], ...]

    def facts(self) -> str:
        """What was drawn, in words."""
        if not any(self.acted):
            return "Drawn not to act on this sample: nothing changed here."
        told = []
        for view, (acted, drawn) in enumerate(zip(self.acted, self.drawn, strict=True)):
            text = _told(drawn) if acted else "drawn not to act"
            if text:
                told.append(f"{'AB'[view]}: {text}" if len(self.arrays) > 1 else text)
        return "; ".join(told) or "The result."


@dataclass(frozen=True, eq=False)
class Sample:
    """All stages of one sample.

    Attributes
    ----------
    request
        What it was made from.
    stages
        By name, in order.
    kind
        ``"plain"``, ``"masked"`` or ``"enveloped"``.
    seconds
        How long it took to make.
    label_count
        How many labels there are in it.
    pair_bytes
        What a pair takes at most while it is made for training.
    """

    request: Request
    stages: dict[str, Shown]
    kind: str
    seconds: float
    label_count: int
    pair_bytes: int

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(S, S, S), shared by both views."""
        return self.stages["envelope"].arrays[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all stages; those that changed nothing take none."""
        arrays = {id(a): a.nbytes for one in self.stages.values() for a in one.arrays}
        return sum(arrays.values())


def make_sample(request: Request, templates: Templates, clock: Callable[[], float]) -> Sample:
    """Make all stages of one sample.

    Raises
    ------
    MrisslError
        If the engine refuses.
    """
    start = clock()
    made = Engine(templates, request.at_side(), request.seed).stages(request.index)
    seconds = clock() - start
    by_name: dict[str, list[Stage]] = {}
    for stage in made:
        by_name.setdefault(stage.name, []).append(stage)
    stages: dict[str, Shown] = {}
    before: tuple[NDArray[Any], ...] = ()
    for name, title in TITLES.items():
        found = by_name.get(name)
        if found is None:
            # A sample without a mask has no ball: the labels go on as they were.
            stages[name] = Shown(name, title, "labels", before, (False,), ({},))
            continue
        arrays = tuple(
            one.array if one.active or len(before) <= view else before[view]
            for view, one in enumerate(found)
        )
        kind, acted = found[0].kind, tuple(one.active for one in found)
        drawn = tuple(one.parameters for one in found)
        stages[name] = Shown(name, title, kind, arrays, acted, drawn)
        # Ball and mask are shapes beside the labels, not steps of them.
        if name not in ("templates", "copy", "ball", "mask"):
            before = arrays
    if "mask" not in by_name:
        sort = "plain"
    else:
        sort = "enveloped" if stages["envelope"].acted[0] else "masked"
    count = int(np.count_nonzero(np.bincount(stages["envelope"].arrays[0].reshape(-1))))
    pair_bytes = Engine(templates, request.settings).memory_estimate()
    return Sample(request, stages, sort, seconds, count, pair_bytes)


def _told(value: Any) -> str:
    if isinstance(value, dict):
        parts = [
            (_WORDS.get(name, name.replace("_", " ")), _told(one))
            for name, one in value.items()
            if name not in _UNTOLD
        ]
        return ", ".join(f"{name} {text}" for name, text in parts if text)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        if len(value) > _MOST_SHOWN:
            return f"{len(value)} values, {_told(min(value))} to {_told(max(value))}"
        return "(" + ", ".join(_told(one) for one in value) + ")" if value else ""
    return "" if value is None else str(value)
