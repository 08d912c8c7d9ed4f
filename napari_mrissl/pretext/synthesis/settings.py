"""What can be chosen for the task ``synthesis``, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import Factor, Settings, Share, fitting

TEMPERATURES: Mapping[str, float] = {"registration": 0.33, "segmentation": 0.20}
"""Temperatures by what the network is for: 0.33 was best for the one, 0.20 for the other."""

Rarity = Literal["none", "sqrt", "raw"]


def _temperature(value: Any) -> Any:
    return TEMPERATURES.get(value, value) if isinstance(value, str) else value


class PlainUNetSettings(BackboneSettings):
    """The plain U-Net and its size; of 5 scales and width 16 as published."""

    name: Literal["unet"] = Field(
        default="unet", title="Network", description="The published plain U-Net."
    )


class MapCropSettings(Settings):
    """Which cubes are cut out of a label map before it is painted."""

    side: int = Field(
        default=128,
        ge=16,
        le=256,
        multiple_of=16,
        title="Side (voxels)",
        description="Of every crop, along each axis; of the whole map where that is smaller.",
    )
    scale: Factor = Field(
        default=(1.0, 1.0),
        title="Scale",
        description="Range of the label map's voxels, along an axis, per voxel of the crop.",
    )
    about: Literal["anything", "labels"] = Field(
        default="anything",
        title="About",
        description="Anything, or labels: each label is as likely to be in it, rare ones too.",
    )
    element: Literal["any", "rotations", "none"] = Field(
        default="any",
        title="Orientation",
        description="any of the 48 turns and mirror images of a cube, turns only, or as it lies.",
    )


class OnlineSettings(Settings):
    """What happens to each label map and each view when it is used; probabilities first.

    As published, all on top of what the data engine has done (arXiv:2411.02372, TorchIO's
    definitions). The affine map acts on labels before they are painted, so that grey values
    are never interpolated (corrected), and mirror images are those of the crop's orientation.
    """

    affine: Share = Field(
        default=0.5,
        title="Affine",
        description="How often a label map is turned and scaled about its middle.",
    )
    degrees: float = Field(
        default=45.0, ge=0, le=180, title="Rotation (degrees)", description="Largest, per axis."
    )
    stretch: Factor = Field(
        default=(0.6, 1.4), title="Stretch", description="Range of the scale of each axis."
    )
    blur: Share = Field(default=0.33, title="Blur", description="How often a view is blurred.")
    blur_sigma: float = Field(
        default=2.0, ge=0, le=8, title="Blur (voxels)", description="Largest sigma, per axis."
    )
    noise: Share = Field(default=0.33, title="Noise", description="How often noise is added.")
    noise_std: float = Field(
        default=0.25, ge=0, le=1, title="Noise (of 1)", description="Largest standard deviation."
    )
    bias: Share = Field(
        default=0.5, title="Bias field", description="How often brightness changes smoothly."
    )
    bias_coefficient: float = Field(
        default=0.5, ge=0, le=2, title="Bias", description="Largest coefficient of its polynomial."
    )
    gamma: Share = Field(
        default=0.5, title="Gamma", description="How often grey values go through a gamma curve."
    )
    log_gamma: float = Field(
        default=0.4, ge=0, le=2, title="Log gamma", description="Largest, either way."
    )
    motion: Share = Field(
        default=0.33, title="Motion", description="How often the head moves in a scan."
    )
    motion_degrees: float = Field(
        default=10.0, ge=0, le=45, title="Motion (degrees)", description="Largest turn, per axis."
    )
    motion_shift: float = Field(
        default=10.0,
        ge=0,
        le=64,
        title="Motion (voxels of 128)",
        description="Largest shift, per axis; it scales with the side.",
    )


OFFLINE = {"affine": 0.0, "blur": 0.0, "noise": 0.0, "bias": 0.0, "gamma": 0.0, "motion": 0.0}
"""Nothing happens on top of the data engine."""


class SynthesisSettings(TaskSettings):
    """Contrastive pretraining on two views of a label map (arXiv:2411.02372).

    Defaults are the published ones. Labels are drawn, and views painted, by the settings of
    the run's data engine; label maps of scans are painted with the engine's defaults.
    """

    backbone: PlainUNetSettings = Field(
        default=PlainUNetSettings(), title="Network", description="The backbone that is pretrained."
    )
    crop: MapCropSettings = Field(
        default=MapCropSettings(),
        title="Crops",
        description="Which cubes are cut out of a label map.",
    )
    online: OnlineSettings = Field(
        default=OnlineSettings(),
        title="On-line augmentation",
        description="What happens to label maps and views beside what the data engine does.",
    )
    temperature: Annotated[float, BeforeValidator(_temperature)] = Field(
        default=TEMPERATURES["registration"],
        gt=0,
        le=10,
        title="Temperature",
        description="Similarities are divided by it: 0.33 for registration, 0.20 for "
        "segmentation; a command may say these words.",
    )
    samples: int = Field(
        default=512,
        ge=2,
        le=8192,
        title="Voxels",
        description="Compared at each tapped layer, the same in both views; all where it has less.",
    )
    hidden: int = Field(
        default=256,
        ge=8,
        le=1024,
        title="Head width",
        description="Channels of the heads in which voxels are compared, one for each layer.",
    )
    rarity: Rarity = Field(
        default="none",
        title="Rare labels",
        description="Weight of a voxel: the same for all, or one over its label's count, or over "
        "the root of that.",
    )
    balanced: bool = Field(
        default=False,
        title="Balanced labels",
        description="Compare with the mean of each label, so that frequent ones do not dominate.",
    )
    on_device: bool = Field(
        default=False,
        title="Paint on the device",
        description="Paint views where the network is, not in the loaders; faster on some GPUs.",
    )

    _fits = model_validator(mode="after")(fitting)


def _load() -> type:
    from napari_mrissl.pretext.synthesis.task import Synthesis

    return Synthesis


INFO = TaskInfo(
    name="synthesis",
    title="Contrast on synthesis",
    description="Voxels of one label get similar features in two painted views, whatever their "
    "grey values.",
    source="2411.02372",
    settings=SynthesisSettings,
    presets={
        "tiny": {
            "task": {
                "backbone": {"width": 8, "depth": 3},
                "crop": {"side": 16},
                "samples": 64,
                "hidden": 32,
                "online": OFFLINE,
            },
            "optimisation": {"steps": 100, "batch": 2, "learning_rate": 2e-3, "warmup": 10},
            "data": {"heads": 4, "engine": {"side": 32}},
        },
        # As published, losses of small networks stay near chance for hundreds of steps: the most
        # frequent label, mostly background, outweighs all others. Balanced labels mend it.
        "cpu": {
            "task": {
                "backbone": {"width": 8, "depth": 4},
                "crop": {"side": 32},
                "samples": 256,
                "hidden": 128,
                "balanced": True,
                "online": OFFLINE,
            },
            "optimisation": {
                "steps": 3600,
                "batch": 4,
                "learning_rate": 3e-3,
                "warmup": 50,
            },
            "checkpoint": {"every": 100, "validate_every": 250, "images_every": 250},
            "data": {"heads": 64, "engine": {"side": 64}},
        },
        "gpu": {
            "optimisation": {
                "steps": 600_000,
                "batch": 1,
                "learning_rate": 2e-4,
                "betas": (0.5, 0.999),
                "schedule": "stages",
                "warmup": 0,
                "clip": 0.0,
                "precision": "bfloat16",
            },
            "checkpoint": {"every": 2000, "validate_every": 2000, "images_every": 2000},
            "data": {"heads": 512, "engine": {"side": 128}, "workers": 8},
        },
    },
    load=_load,
    paints=True,
)
