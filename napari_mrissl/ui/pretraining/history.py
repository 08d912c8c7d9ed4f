"""What the events of a run add up to: curves of bounded size, rates, pictures, a log."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.training.event_types import (
    ChanceEvent,
    CheckpointEvent,
    Event,
    ImageEvent,
    StateEvent,
    StepEvent,
    ValidationEvent,
    WarningEvent,
)

_MOST_POINTS = 2048
_MOST_LINES = 500
_RECENT = 20


class Series:
    """A curve that never holds more than 2048 points: neighbours become their mean.

    Attributes
    ----------
    last, best
        The newest and the lowest value, exact; NaN while there is none.
    """

    def __init__(self) -> None:
        self._steps: list[float] = []
        self._values: list[float] = []
        self._stride = 1
        self._part: list[tuple[float, float]] = []
        self.last = math.nan
        self.best = math.nan

    def __len__(self) -> int:
        return len(self._steps) + bool(self._part)

    def add(self, step: int, value: float) -> None:
        """One more value; what is not finite becomes `last` but no point."""
        self.last = value
        if not math.isfinite(value):
            return
        self.best = value if math.isnan(self.best) else min(self.best, value)
        self._part.append((step, value))
        if len(self._part) >= self._stride:
            self._close_part()
        if len(self._steps) >= _MOST_POINTS:
            self._halve()

    def after(self, step: int) -> bool:
        """Whether there are points beyond a step, as when a run was resumed from there."""
        newest = self._part[-1][0] if self._part else self._steps[-1] if self._steps else -1
        return newest > step

    def cut(self, step: int) -> None:
        """Forget the points beyond a step; `best` stays what it was."""
        self._part = [one for one in self._part if one[0] <= step]
        while self._steps and self._steps[-1] > step:
            self._steps.pop()
            self._values.pop()

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps and values."""
        steps, values = list(self._steps), list(self._values)
        if self._part:
            at, value = np.mean(self._part, axis=0)
            steps.append(float(at))
            values.append(float(value))
        return np.array(steps, np.float64), np.array(values, np.float64)

    def _close_part(self) -> None:
        at, value = np.mean(self._part, axis=0)
        self._steps.append(float(at))
        self._values.append(float(value))
        self._part = []

    def _halve(self) -> None:
        even = len(self._steps) // 2 * 2
        for name in ("_steps", "_values"):
            held = np.array(getattr(self, name)[:even], np.float64)
            setattr(self, name, [float(one) for one in held.reshape(-1, 2).mean(axis=1)])
        self._stride *= 2


@dataclass(eq=False)
class Curve:
    """One loss term: while training, on held-out subjects, and what chance is worth."""

    training: Series = field(default_factory=Series)
    validation: Series = field(default_factory=Series)
    chance: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of the log.

    Attributes
    ----------
    time
        Seconds since 1970.
    kind
        ``"state"``, ``"warning"``, ``"checkpoint"`` or ``"validation"``.
    """

    time: float
    kind: str
    text: str


@dataclass(frozen=True)
class Picture:
    """The newest image of one name: where its PNG lies, and what its tiles show of which scan."""

    name: str
    step: int
    file: str
    captions: tuple[str, ...]
    scan: str = ""

    @classmethod
    def of(cls, event: ImageEvent) -> Picture:
        """What an event says of it."""
        return cls(event.name, event.step, event.file, event.captions, event.scan)


class History:
    """Takes events in their order.

    Attributes
    ----------
    total
        The weighted sum of all terms.
    curves
        By the term's name.
    pictures
        By name, the newest of each.
    lines
        The log, oldest first, at most 500 lines.
    step
        The last one done; 0 before any.
    """

    def __init__(self) -> None:
        self.total = Curve()
        self.curves: dict[str, Curve] = {}
        self.pictures: dict[str, Picture] = {}
        self.lines: deque[Line] = deque(maxlen=_MOST_LINES)
        self.line_count = 0
        self.step = 0
        self.samples_per_second = math.nan
        self.memory = math.nan
        self.learning_rate = math.nan
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self._waiting: deque[float] = deque(maxlen=_RECENT)

    @property
    def seconds_per_step(self) -> float:
        """Median of the last steps; NaN before any."""
        known = [one for one in self._seconds if math.isfinite(one)]
        return float(np.median(known)) if known else math.nan

    @property
    def waiting(self) -> float:
        """Share of the last steps' time spent waiting for samples; NaN before any."""
        total = sum(self._seconds)
        return sum(self._waiting) / total if total > 0 else math.nan

    def seconds_left(self, steps: int) -> float:
        """Until a number of steps is done, at the pace of the last ones."""
        return max(0, steps - self.step) * self.seconds_per_step

    def add(self, event: Event) -> None:
        """Take one event."""
        getattr(self, f"_take_{event.type}")(event)

    def curve(self, name: str) -> Curve:
        """The curve of a term, which is there as soon as it is asked for."""
        return self.curves.setdefault(name, Curve())

    def _take_step(self, event: StepEvent) -> None:
        # Steps that were lost with a kill are done again: the later ones hold.
        again = event.step <= self.step
        self.step = event.step
        for curve, value in self._curves_of(event):
            if again and curve.training.after(event.step - 1):
                curve.training.cut(event.step - 1)
            curve.training.add(event.step, _number(value))
        self._seconds.append(_number(event.seconds))
        self._waiting.append(_number(event.waiting))
        self.samples_per_second = _number(event.samples_per_second)
        self.memory = _number(event.memory)
        self.learning_rate = _number(event.rate)

    def _take_validation(self, event: ValidationEvent) -> None:
        words = []
        for curve, value in self._curves_of(event):
            curve.validation.cut(event.step - 1)
            curve.validation.add(event.step, _number(value))
        for name, value in event.terms.items():
            words.append(f"{name} {_number(value):.4g}")
        self._say(event, f"step {event.step}, held out: {', '.join(words)}")

    def _take_chance(self, event: ChanceEvent) -> None:
        for name, value in event.terms.items():
            self.curve(name).chance = value

    def _take_image(self, event: ImageEvent) -> None:
        self.pictures[event.name] = Picture.of(event)

    def _take_state(self, event: StateEvent) -> None:
        self._say(event, f"{event.name}: {event.reason}" if event.reason else event.name)

    def _take_checkpoint(self, event: CheckpointEvent) -> None:
        best = ", the best so far" if event.best else ""
        self._say(event, f"step {event.step}: saved{best}")

    def _take_warning(self, event: WarningEvent) -> None:
        self._say(event, f"warning: {event.text}")

    def _curves_of(
        self, event: StepEvent | ValidationEvent
    ) -> Iterator[tuple[Curve, float | None]]:
        yield self.total, event.total
        for name, value in event.terms.items():
            yield self.curve(name), value

    def _say(self, event: Event, text: str) -> None:
        self.lines.append(Line(event.t, event.type, text))
        self.line_count += 1


def _number(value: float | None) -> float:
    """NaN for what is not known or was no finite number."""
    return math.nan if value is None else float(value)
