"""A run in figures: last and best of every term beside its chance value, speed, warnings."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_mrissl.training.events import (
    ChanceEvent,
    Event,
    EventTail,
    StepEvent,
    ValidationEvent,
    WarningEvent,
)

if TYPE_CHECKING:
    from napari_mrissl.training.run import Run

_STEPS_FOR_SPEED = 50
_MOST_WARNINGS = 50


@dataclass
class _Term:
    last: float | None = None
    best: float | None = None
    chance: float | None = None
    validation_last: float | None = None
    validation_best: float | None = None


@dataclass
class _Gathered:
    terms: dict[str, _Term] = field(default_factory=dict)
    recent: deque[StepEvent] = field(default_factory=lambda: deque(maxlen=_STEPS_FOR_SPEED))
    warnings: list[str] = field(default_factory=list)

    def term(self, name: str) -> _Term:
        return self.terms.setdefault(name, _Term())

    def take(self, event: Event) -> None:
        if isinstance(event, StepEvent):
            self.recent.append(event)
            for name, value in {"total": event.total, **event.terms}.items():
                term = self.term(name)
                term.last, term.best = value, _lower(term.best, value)
        elif isinstance(event, ValidationEvent):
            for name, value in {"total": event.total, **event.terms}.items():
                term = self.term(name)
                term.validation_last = value
                term.validation_best = _lower(term.validation_best, value)
        elif isinstance(event, ChanceEvent):
            for name, value in event.terms.items():
                self.term(name).chance = value
        elif isinstance(event, WarningEvent) and event.text not in self.warnings:
            self.warnings.append(event.text)


def summary(run: Run) -> dict[str, Any]:
    """JSON-ready facts about a run.

    Returns
    -------
    dict
        ``state``, ``reason``, ``alive``, ``step``, ``steps``, ``checkpoint``, ``method``,
        ``seed``, ``created``, ``uuid``, ``terms`` (by name ``last``, ``best``, ``chance``,
        ``validation_last``, ``validation_best``; best is lowest; None where unknown),
        ``steps_per_second``, ``samples_per_second``, ``waiting_share`` (of the last 50 steps,
        0 to 1), ``memory_bytes``, ``warnings``.

    Raises
    ------
    MrisslError
        If the events cannot be read.
    """
    gathered = _Gathered()
    tail = EventTail(run.folder)
    for event in tail.poll():
        gathered.take(event)
    warnings = gathered.warnings[-_MOST_WARNINGS:]
    if tail.damaged:
        warnings.append(f"{tail.damaged} damaged lines of events.jsonl were left out")
    state = run.state()
    return {
        "uuid": run.identity.uuid,
        "method": run.settings.method,
        "created": run.identity.created,
        "seed": run.settings.seed,
        "state": state.name,
        "reason": state.reason,
        "alive": state.alive,
        "here": state.here,
        "step": state.step,
        "steps": state.steps,
        "checkpoint": state.checkpoint,
        "terms": {name: vars(term).copy() for name, term in gathered.terms.items()},
        **_speed(list(gathered.recent)),
        "warnings": warnings,
    }


def _speed(recent: list[StepEvent]) -> dict[str, float | int | None]:
    seconds = [event.seconds for event in recent if event.seconds]
    waited = [event.waiting for event in recent if event.seconds and event.waiting is not None]
    rates = [e.samples_per_second for e in recent if e.samples_per_second is not None]
    memory = [event.memory for event in recent if event.memory is not None]
    return {
        "steps_per_second": 1 / statistics.median(seconds) if seconds else None,
        "samples_per_second": statistics.median(rates) if rates else None,
        "waiting_share": min(1.0, sum(waited) / sum(seconds)) if seconds and waited else None,
        "memory_bytes": max(memory) if memory else None,
    }


def _lower(one: float | None, other: float | None) -> float | None:
    values = [value for value in (one, other) if value is not None]
    return min(values) if values else None
