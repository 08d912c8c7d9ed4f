"""What can be chosen for the task ``vectorpose``, without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import (
    CorruptionSettings,
    CropSettings,
    EdgeSettings,
    Share,
    fitting,
)

Restoration = Literal["none", "plain", "predict_boundary", "weighted"]


class VectorPoseSettings(TaskSettings):
    """Vector prediction and boundary-focused reconstruction (arXiv:2211.08533).

    Losses, corruption, boundaries, crop sizes and scales are by default those of the authors'
    public code, second stage. Departures: a residual U-Net instead of the Res2UNet, which the
    ``published_`` presets take; group normalisation in the head, where the code has batch
    normalisation; a least mean of a crop of 0.05, where the code has 0.25 (0.01 for hearts);
    angles of very short arrows do not count; one of 48 orientations, where the code
    flips, then always turns about every axis, for a third of the turns with wrong vectors. The
    first stage of the code flips only, each crop with a probability of 0.4: ``published_1``
    draws one of 48 orientations there too.
    """

    backbone: BackboneSettings = Field(
        default=BackboneSettings(), title="Network", description="The backbone that is pretrained."
    )
    crop: CropSettings = Field(
        default=CropSettings(), title="Crops", description="Which cubes are cut out of a scan."
    )
    turned: Share = Field(
        default=1.0,
        title="Turned",
        description="Share of crops that get a random orientation; the others stay as they lie.",
    )
    vectors: bool = Field(
        default=True,
        title="Predict vectors",
        description="Nine arrows from the crop to the axis: its place, size and orientation.",
    )
    axis: Literal["image", "body"] = Field(
        default="image",
        title="Axis",
        description="Where the arrows end: the middle of the scan, or of the body in each slice.",
    )
    loss: Literal["l1", "mse"] = Field(
        default="l1",
        title="Loss of vectors",
        description="Absolute or squared differences of length and angles.",
    )
    least_r: Share = Field(
        default=0.02,
        title="Least length",
        description="Arrows up to this length, as a share of the largest, have no angles.",
    )
    cosine: float = Field(
        default=0.0,
        ge=0,
        le=100,
        title="Cosine term",
        description="Weight of one minus the cosine between arrows; 0 as published.",
    )
    head: Literal["pooled", "spatial"] = Field(
        default="pooled",
        title="Head of vectors",
        description="Means of the three deepest maps, or their voxels side by side.",
    )
    dropout: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        title="Dropout",
        description="In the head of vectors. Each process draws its own masks, so that above 0 "
        "the result depends on their number.",
    )
    restoration: Restoration = Field(
        default="predict_boundary",
        title="Restoration",
        description="None; grey values; also their boundary map; or weighted by boundaries.",
    )
    corruption: CorruptionSettings = Field(
        default=CorruptionSettings(), title="Corruption", description="How a crop is spoiled."
    )
    edges: EdgeSettings = Field(
        default=EdgeSettings(), title="Boundaries", description="What counts as a boundary."
    )
    boundary_in_paint: bool = Field(
        default=False,
        title="Only painted boundaries",
        description="Count the boundary map where something was painted over, as in stage one.",
    )
    boundary_weight: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Boundary weight",
        description="For weighted restoration: how much more a full boundary counts.",
    )

    _fits = model_validator(mode="after")(fitting)

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.vectors and self.restoration == "none":
            raise ValueError("neither vectors nor a restoration is to be learned")
        return self

    @property
    def most_likely_orientation(self) -> float:
        """How often the most frequent orientation, that of the scan, is drawn."""
        share = self.turned / {"any": 48, "rotations": 24, "none": 1}[self.crop.element]
        return 1 - self.turned + share

    @property
    def restores(self) -> bool:
        """Whether crops are corrupted and restored."""
        return self.restoration != "none"


def _load() -> type:
    from napari_mrissl.pretext.vectorpose.task import VectorPose

    return VectorPose


_STAGE_TWO = {
    "backbone": {"name": "res2unet_101", "width": 32},
    "crop": {"side": 96},
}
_STAGE_ONE = {
    **_STAGE_TWO,
    "crop": {"side": 96, "scale": (0.75, 1.25)},
    "vectors": False,
    "boundary_in_paint": True,
    "corruption": {"shuffle": 0.5, "intensity": 0.9, "paint": 0.9, "inside": 0.4},
}

INFO = TaskInfo(
    name="vectorpose",
    title="VectorPOSE",
    description="The network tells where a crop lies, how large and which way round it is, and "
    "restores its boundaries.",
    source="2211.08533",
    settings=VectorPoseSettings,
    presets={
        "tiny": {
            "task": {
                "backbone": {"width": 8, "depth": 3},
                "crop": {"side": 16},
                "head": "spatial",
                "dropout": 0.0,
            },
            "optimisation": {"steps": 60, "batch": 8, "learning_rate": 2e-3, "warmup": 10},
            "data": {"heads": 4, "engine": {"side": 64}},
        },
        # Crops as large against a head as the published ones are against a trunk. With every
        # crop turned a small network finds where the axis is, but hardly which way is up.
        "cpu": {
            "task": {
                "backbone": {"width": 8, "depth": 4},
                "crop": {"side": 16, "edge_mm": 64.0, "scale": (0.75, 1.25)},
                "turned": 0.5,
                "head": "spatial",
                "dropout": 0.0,
                "restoration": "none",
            },
            "optimisation": {
                "steps": 4000,
                "batch": 16,
                "learning_rate": 2e-3,
                "warmup": 100,
                "weight_decay": 0.01,
            },
            "checkpoint": {"every": 500, "validate_every": 500, "images_every": 500},
            "data": {"heads": 180, "engine": {"side": 64}},
        },
        "gpu": {
            "task": {"backbone": {"width": 24, "depth": 5}, "crop": {"side": 64}},
            "optimisation": {
                "steps": 20_000,
                "batch": 16,
                "learning_rate": 3e-4,
                "warmup": 500,
                "precision": "bfloat16",
            },
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
        "published_1": {
            "task": _STAGE_ONE,
            "optimisation": {
                # Inferred, by the rule that the code has for stage two, where an epoch of
                # (volumes x crops) / 2 steps is 16 x 9 / 2 = 72 and 201 epochs are 14,472:
                # 231 volumes x 6 crops / 2 = 693 steps, times 201 epochs = 139,293.
                "steps": 139_000,
                "batch": 12,
                "learning_rate": 2e-4,
                "warmup": 0,
                "final_rate": 0.005,
                "precision": "bfloat16",
            },
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
        "published_2": {
            "task": _STAGE_TWO,
            "optimisation": {
                "steps": 14_500,
                "batch": 18,
                "learning_rate": 1e-4,
                "warmup": 0,
                "final_rate": 0.01,
                "precision": "bfloat16",
            },
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
    },
    load=_load,
)
