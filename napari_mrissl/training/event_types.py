"""What can happen in a run: typed events, as ``events.jsonl`` holds them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

StateName = Literal[
    "queued", "running", "pausing", "paused", "stopping", "stopped", "finished", "failed"
]
"""The eight states of a run."""

STATES: tuple[StateName, ...] = (
    "queued", "running", "pausing", "paused", "stopping", "stopped", "finished", "failed",
)  # fmt: skip

LONGEST_TEXT = 2000
"""Characters of a reason or a warning."""

Name = Annotated[str, Field(max_length=80)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Step = Annotated[int, Field(ge=0, lt=1 << 53)]
Number = Annotated[float, Field(allow_inf_nan=False)] | None
"""A measured value; None where it was no finite number."""


class _Event(BaseModel):
    """What all events share.

    Attributes
    ----------
    n
        Index of the event in its run, from 0.
    t
        Seconds since 1970, by the clock of the machine that wrote it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    n: int = Field(ge=0)
    t: float = Field(ge=0, allow_inf_nan=False)


class StateEvent(_Event):
    """The run is in another state; ``reason`` is one sentence or empty."""

    type: Literal["state"] = "state"
    name: StateName
    reason: Text = ""


class StepEvent(_Event):
    """One optimiser step is done.

    Attributes
    ----------
    step
        How many steps are done, so 1 after the first.
    total, terms
        The loss and its named terms (with metrics that only are shown).
    rate
        Learning rate of the step.
    seconds, waiting
        Of the step, and the part of it spent waiting for samples, both in s.
    samples_per_second
        Over all processes.
    gradient_norm
        Before clipping.
    memory
        Bytes at most in use on the device so far; None where that is not known.
    """

    type: Literal["step"] = "step"
    step: Step
    total: Number
    terms: dict[Name, Number]
    rate: Number = None
    seconds: Number = None
    waiting: Number = None
    samples_per_second: Number = None
    gradient_norm: Number = None
    memory: int | None = None


class ValidationEvent(_Event):
    """The losses on held-out subjects after a step."""

    type: Literal["validation"] = "validation"
    step: Step
    total: Number
    terms: dict[Name, Number]


class ChanceEvent(_Event):
    """What terms are worth for a predictor that learned nothing."""

    type: Literal["chance"] = "chance"
    terms: dict[Name, Number]


class ImageEvent(_Event):
    """A picture was written; ``file`` is its name in the run's folder ``images``.

    Attributes
    ----------
    name
        Of what is shown; a later picture of this name replaces it.
    tiles
        How many tiles stand side by side in it, row by row.
    columns
        Of tiles.
    captions
        One for each tile.
    scan
        Identity of the only scan that is shown, or empty.
    """

    type: Literal["image"] = "image"
    step: Step
    name: Name
    file: str = Field(pattern=r"^[a-z0-9_-]{1,80}\.png$")
    tiles: int = Field(ge=1, le=4096)
    columns: int = Field(ge=1, le=4096)
    captions: tuple[Text, ...] = ()
    scan: Name = ""


class CheckpointEvent(_Event):
    """A checkpoint was committed; ``best`` if no earlier one was better."""

    type: Literal["checkpoint"] = "checkpoint"
    step: Step
    best: bool = False


class WarningEvent(_Event):
    """Something the user should know that does not end the run."""

    type: Literal["warning"] = "warning"
    text: Text


Event = (
    StateEvent
    | StepEvent
    | ValidationEvent
    | ChanceEvent
    | ImageEvent
    | CheckpointEvent
    | WarningEvent
)

EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
"""Reads an event from JSON."""
