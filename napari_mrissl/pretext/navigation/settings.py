"""What can be chosen for the tasks ``tokenizer`` and ``dynamics``, without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import Settings, Share, word

KINDS = ("scroll", "rotate", "zoom", "pan", "walk")
"""Kinds of flights that policies make."""

STACK = "stack"
"""The kind of slices that are no flight: along the scan's own axes, all of it in view."""

RECORDED = "recorded"
"""The kind of a flight that somebody has flown."""

ACTION_SCALE = (0.01, 0.01, 0.09, 0.035, 0.035, 0.02, 0.02)
"""About the spread of the seven numbers of an action over flights of 8 frames by policy."""

_SOURCE = "2605.06487"

Objective = Literal["l1", "mse", "shortcut"]


class FlightSettings(Settings):
    """Which flights slices are taken from; kinds and ranges are ours (inferred).

    The ranges of each kind are those of `napari_mrissl.slicing.policies.PolicySettings`.
    """

    frames: int = Field(default=8, ge=1, le=64, title="Frames", description="Slices of one flight.")
    scroll: Share = Field(
        default=0.35, title="Scroll", description="Weight of flights along the normal."
    )
    rotate: Share = Field(
        default=0.20, title="Rotate", description="Weight of flights that turn about an axis."
    )
    zoom: Share = Field(default=0.10, title="Zoom", description="Weight of flights that zoom.")
    pan: Share = Field(
        default=0.10, title="Pan", description="Weight of flights within their plane."
    )
    walk: Share = Field(
        default=0.25, title="Walk", description="Weight of random walks in all seven numbers."
    )
    stack: Share = Field(
        default=0.0,
        title="Stack",
        description="Weight of fixed slices along the scan's own axes, in no order: the control "
        "that never flies.",
    )
    turns: Share = Field(
        default=0.0,
        title="Turns",
        description="How often a frame has a new velocity of its flight's kind. With 0 flights are "
        "even, and the slices before tell how most of them go on, whatever the action.",
    )
    recoloured: Share = Field(
        default=0.0,
        title="Recoloured",
        description="How often a flight has the data engine's gamma and bias field, the same "
        "for all of its slices.",
    )
    recorded: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        title="Recorded flights",
        description="Recorded flights in place of policies, by the sha256 of their file in the "
        "run; the command's --flights sets it. Empty for policies.",
    )
    hertz: float = Field(
        default=4.0,
        gt=0,
        le=100,
        title="Recorded frames a second",
        description="How many are taken of recorded flights; most recordings have many more.",
    )
    on_device: bool = Field(
        default=False,
        title="Cut on the device",
        description="Cut slices where the network is, not in the loaders; for GPUs.",
    )
    device_gib: float = Field(
        default=8.0,
        gt=0,
        le=1024,
        title="Scans on the device (GiB)",
        description="Memory of the device for scans that slices are cut from.",
    )

    @model_validator(mode="after")
    def _flies(self) -> Self:
        if not any(self.weights.values()):
            raise ValueError("no kind of flight has a weight above 0")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """By kind."""
        kinds = (*KINDS, STACK) if self.stack else KINDS
        return {kind: float(getattr(self, kind)) for kind in kinds}

    @property
    def shares_flown(self) -> dict[str, float]:
        """By kind of flight, together 1; the usual mixture where all slices are of stacks."""
        flown = self if any(getattr(self, kind) for kind in KINDS) else FlightSettings()
        whole = sum(flown.weights[kind] for kind in KINDS)
        return {kind: flown.weights[kind] / whole for kind in KINDS}


class TokenizerSettings(TaskSettings):
    """Masked autoencoding of single slices (stage 1 of arXiv:2605.06487; inferred)."""

    backbone: TokenizerShape = Field(
        default=TokenizerShape(),
        title="Tokenizer",
        description="The network that turns a slice into tokens.",
    )
    flights: FlightSettings = Field(
        default=FlightSettings(frames=4),
        title="Flights",
        description="Where slices are taken from.",
    )
    hidden: float = Field(
        default=0.9,
        gt=0,
        le=0.95,
        title="Most hidden",
        description="The share of hidden patches is drawn for each slice, from 0 to this.",
    )
    seen: float = Field(
        default=1.0,
        ge=0,
        le=10,
        title="Seen patches",
        description="Weight of the error at patches that were shown; with 0 nothing asks the "
        "decoder for them, and whole slices come back badly.",
    )
    edges: float = Field(
        default=0.1,
        ge=0,
        le=10,
        title="Edges",
        description="Weight of the difference of gradients between slice and reconstruction.",
    )


class DynamicsSettings(TaskSettings):
    """Action-conditioned prediction of latent tokens (stage 2 of arXiv:2605.06487; inferred)."""

    backbone: TokenizerShape = Field(
        default=TokenizerShape(),
        title="Tokenizer",
        description="Shape of the frozen tokenizer; taken over from the run that is begun from.",
    )
    dynamics: DynamicsShape = Field(
        default=DynamicsShape(), title="Dynamics", description="The network that is trained."
    )
    flights: FlightSettings = Field(
        default=FlightSettings(), title="Flights", description="What is flown."
    )
    objective: Objective = Field(
        default="l1",
        title="Objective",
        description="Absolute or squared errors of layer-normed latents, or shortcut forcing, "
        "which learns to draw the next slice in a few steps out of noise.",
    )
    rollout: int = Field(
        default=2,
        ge=1,
        le=16,
        title="Rollout (frames)",
        description="So many frames are predicted one from the other, from a flight's first; "
        "1 trains on single steps only.",
    )
    actions: Annotated[Literal["true", "zero"], BeforeValidator(word)] = Field(
        default="true",
        title="Actions",
        description="True ones, or zeros: the control that is not told where it is flown.",
    )

    @property
    def looks_back(self) -> int:
        """The most frames that a prediction was trained to look back on."""
        return self.flights.frames - 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        steps = self.looks_back
        if not 1 <= steps <= self.dynamics.context:
            raise ValueError(
                f"flights of {self.flights.frames} frames do not suit a context of "
                f"{self.dynamics.context}, which takes 2 to {self.dynamics.context + 1}"
            )
        if self.rollout > steps:
            raise ValueError(f"a rollout of {self.rollout} frames in flights with {steps} actions")
        return self


def _tokenizer() -> type:
    from napari_mrissl.pretext.navigation.tokenizer import Tokenizer

    return Tokenizer


def _dynamics() -> type:
    from napari_mrissl.pretext.navigation.dynamics import Dynamics

    return Dynamics


_TINY = {"size": 32, "patch": 8, "width": 32, "depth": 2, "decoder": 1, "heads": 2, "latent": 16}
_LARGE = {"size": 128, "patch": 8, "width": 256, "depth": 6, "decoder": 4, "heads": 8}
_FEW_HEADS = {"heads": 4, "engine": {"side": 64}}
_HEADS = {"heads": 64, "engine": {"side": 96}}
_MANY_HEADS = {"heads": 512, "engine": {"side": 192}, "workers": 8}
_OFTEN = {"every": 100, "validate_every": 250, "images_every": 250}
_SELDOM = {"every": 2000, "validate_every": 2000, "images_every": 2000}

TOKENIZER = TaskInfo(
    name="tokenizer",
    title="Navigation: tokenizer",
    description="Slices become spatial tokens, from which hidden patches are filled in.",
    source=_SOURCE,
    settings=TokenizerSettings,
    presets={
        "tiny": {
            "task": {"backbone": _TINY, "flights": {"frames": 2}},
            "optimisation": {"steps": 200, "batch": 8, "learning_rate": 3e-3, "warmup": 10},
            "data": _FEW_HEADS,
        },
        "cpu": {
            "task": {"flights": {"frames": 4}},
            "optimisation": {"steps": 1500, "batch": 8, "learning_rate": 1e-3, "warmup": 50},
            "checkpoint": _OFTEN,
            "data": _HEADS,
        },
        "gpu": {
            "task": {"backbone": _LARGE, "flights": {"frames": 4, "on_device": True}},
            "optimisation": {
                "steps": 90_000,
                "batch": 64,
                "learning_rate": 3e-4,
                "weight_decay": 0.01,
                "warmup": 1000,
                "precision": "bfloat16",
            },
            "checkpoint": _SELDOM,
            "data": _MANY_HEADS,
        },
    },
    load=_tokenizer,
)

DYNAMICS = TaskInfo(
    name="dynamics",
    title="Navigation: dynamics",
    description="From tokens of slices and an action, the tokens of the next slice.",
    source=_SOURCE,
    settings=DynamicsSettings,
    presets={
        "tiny": {
            "task": {
                "backbone": _TINY,
                "dynamics": {"width": 32, "depth": 2, "heads": 2, "context": 8},
                "flights": {"frames": 4, "turns": 0.5},
            },
            "optimisation": {"steps": 200, "batch": 8, "learning_rate": 3e-3, "warmup": 10},
            "data": _FEW_HEADS,
        },
        "cpu": {
            "task": {"flights": {"frames": 9, "turns": 0.5}},
            "optimisation": {"steps": 1500, "batch": 4, "learning_rate": 1e-3, "warmup": 50},
            "checkpoint": _OFTEN,
            "data": _HEADS,
        },
        "gpu": {
            "task": {
                "backbone": _LARGE,
                "dynamics": {"width": 256, "depth": 6, "heads": 8, "context": 8},
                "flights": {"frames": 9, "turns": 0.5, "on_device": True},
            },
            "optimisation": {
                "steps": 100_000,
                "batch": 32,
                "learning_rate": 3e-4,
                "weight_decay": 0.04,
                "warmup": 1000,
                "precision": "bfloat16",
            },
            "checkpoint": _SELDOM,
            "data": _MANY_HEADS,
        },
    },
    load=_dynamics,
    begins_from="tokenizer",
)
