"""What a finetuning run is told: classes, crops, augmentation, network; without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import Settings, Share
from napari_mrissl.synthesis.settings import (
    AugmentationSettings,
    BiasFieldSettings,
    ContrastSettings,
    GibbsSettings,
    LowResolutionSettings,
    SharpenSettings,
    SmoothSettings,
    SpikeSettings,
)

UNLABELLED = 255
"""In the label maps of a run: a voxel of which nothing is known."""

MOST_CLASSES = 254

Side = Annotated[int, Field(ge=8, le=512)]
Millimetres = Annotated[float, Field(gt=0, le=100)]
Mode = Literal["linear", "nonlinear", "full"]


class LabelClass(Settings):
    """One class: its label in label maps, its name, and a colour where one was chosen."""

    label: int = Field(ge=0, le=65535)
    name: str = Field(max_length=200)
    color: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")


class SpatialSettings(Settings):
    """How image and labels are turned and stretched together, about the crop's middle.

    The defaults of arXiv:2411.02372's finetuning, but for mirror images: there is no left and
    right in a mirror.
    """

    probability: Share = Field(default=0.98, title="Probability", description="How often it acts.")
    degrees: float = Field(
        default=45.0, ge=0, le=180, title="Rotation (degrees)", description="Largest, per axis."
    )
    scale: float = Field(
        default=0.2, ge=0, lt=1, title="Scale", description="Largest change of size, per axis."
    )
    shear: float = Field(
        default=0.2, ge=0, lt=1, title="Shear", description="Largest shear factor, per pair."
    )
    mirror: Literal["none", "safe"] = Field(
        default="none",
        title="Mirror images",
        description="none; or safe: crops are also learned from mirrored front to back and top to "
        "bottom, never left to right, and results are averaged over such copies.",
    )


class AppearanceSettings(Settings):
    """How a crop's grey values are changed, by operations of the data engine.

    Probabilities and ranges of arXiv:2411.02372's finetuning, in the data engine's order, which
    keeps the engine's milder gamma curve; low resolution is ours.
    """

    noise: Share = Field(default=0.33, title="Noise", description="How often noise is added.")
    noise_std: float = Field(
        default=0.1, ge=0, le=1, title="Noise (of 1)", description="Largest standard deviation."
    )
    chain: AugmentationSettings = Field(
        default=AugmentationSettings(
            bias=BiasFieldSettings(probability=0.33, coefficients=(0.0, 0.05)),
            spike=SpikeSettings(probability=0.0),
            contrast=ContrastSettings(probability=0.33),
            smooth=SmoothSettings(probability=0.33),
            gibbs=GibbsSettings(probability=0.33),
            sharpen=SharpenSettings(probability=0.33),
            low_resolution=LowResolutionSettings(probability=0.15),
        ),
        title="Chain",
    )


class PreviewSettings(Settings):
    """Which slice is shown while the network learns.

    Attributes
    ----------
    identity
        Of one of the run's scans; without it the first held-out one, or else the first.
    at_mm
        World RAS mm of a place in the slice; without it the middle of the labels.
    axis
        That the slice is perpendicular to: 0, 1 or 2 of the scan's (S, A, R).
    """

    identity: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    at_mm: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    axis: Literal[0, 1, 2] = 0


class FinetuneTaskSettings(TaskSettings):
    """A finetuning run's own settings, as its folder keeps them.

    Attributes
    ----------
    classes
        In the order of the network's outputs; label maps of the run hold numbers in this order.
    patch
        Voxels along (S, A, R) of a crop at ``spacing``.
    spacing
        (S, A, R) mm that scans are resampled to; None takes each as it is.
    started_from
        Name of the weights, for people; the run's ``initial`` says which exactly.
    """

    classes: tuple[LabelClass, ...] = (
        LabelClass(label=0, name="background"),
        LabelClass(label=1, name="class 1"),
    )
    mode: Mode = Field(
        default="full",
        title="Train",
        description="full, the whole network; linear, one layer on frozen features; or "
        "nonlinear, two layers on frozen features.",
    )
    backbone: BackboneSettings = Field(
        default=BackboneSettings(name="unet"), title="Network", description="The backbone."
    )
    patch: tuple[Side, Side, Side] = Field(
        default=(64, 64, 64), title="Crop (voxels)", description="Sides of a crop along S, A, R."
    )
    spacing: tuple[Millimetres, Millimetres, Millimetres] | None = Field(
        default=None,
        title="Spacing (mm)",
        description="What scans are resampled to along S, A, R; without it, as they are.",
    )
    backbone_rate: float = Field(
        default=1.0,
        gt=0,
        le=1,
        title="Backbone's rate",
        description="Learning rate of the backbone as a share of the head's.",
    )
    hidden: int = Field(
        default=64,
        ge=4,
        le=1024,
        title="Hidden channels",
        description="Of the head with two layers.",
    )
    overlap: float = Field(
        default=1.0, ge=0, le=100, title="Dice weight", description="Of the Dice loss."
    )
    voxelwise: float = Field(
        default=1.0, ge=0, le=100, title="Cross entropy weight", description="Of cross entropy."
    )
    spatial: SpatialSettings = Field(default=SpatialSettings(), title="Shape")
    appearance: AppearanceSettings = Field(default=AppearanceSettings(), title="Appearance")
    preview: PreviewSettings = PreviewSettings()
    started_from: str = Field(default="scratch", max_length=80, title="Weights")

    @model_validator(mode="after")
    def _fits(self) -> FinetuneTaskSettings:
        labels = [entry.label for entry in self.classes]
        if not 2 <= len(labels) <= MOST_CLASSES or len(set(labels)) < len(labels):
            raise ValueError(f"2 to {MOST_CLASSES} classes with labels of their own are needed")
        stride, least = self.backbone.stride, self.backbone.least_side
        if any(side % stride or side < least for side in self.patch):
            raise ValueError(
                f"crops of {' x '.join(map(str, self.patch))} voxels do not suit this network, "
                f"which needs multiples of {stride} and at least {least}"
            )
        return self


def _load() -> type:
    from napari_mrissl.segmentation.finetuning.task import Finetune

    return Finetune


INFO = TaskInfo(
    name="finetune",
    title="Finetuning",
    description="A network learns a segmentation from a few labelled scans.",
    source="2411.02372",
    settings=FinetuneTaskSettings,
    presets={
        "tiny": {
            "task": {"backbone": {"name": "unet", "width": 8, "depth": 3}, "patch": (16, 16, 16)},
            "optimisation": {"steps": 40, "batch": 2, "learning_rate": 5e-3, "warmup": 5},
            "checkpoint": {"every": 20, "images_every": 20, "validate_every": 20},
        },
        # The rate was chosen on hippocampus scans that no table is measured on.
        "cpu": {
            "task": {
                "spatial": {"degrees": 20.0, "scale": 0.15, "shear": 0.05},
            },
            "optimisation": {
                "steps": 600,
                "batch": 2,
                "learning_rate": 6e-3,
                "warmup": 20,
            },
            "checkpoint": {"every": 25, "images_every": 10, "validate_every": 50},
        },
        # As published (arXiv:2411.02372): 500 epochs of 75 steps, measured every two.
        "gpu": {
            "task": {"patch": (128, 128, 128)},
            "optimisation": {
                "steps": 37_500,
                "batch": 4,
                "learning_rate": 2e-4,
                "warmup": 0,
                "final_rate": 0.0,
                "clip": 0.0,
            },
            "checkpoint": {"every": 150, "images_every": 75, "validate_every": 150},
            "data": {"workers": 8},
        },
    },
    load=_load,
)

REGISTRY = {INFO.name: INFO}
"""What a process needs beside the methods of pretraining to train any run."""
