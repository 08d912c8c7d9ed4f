"""The one settings object of the data engine: every probability and every range.

Defaults are the published ones (arXiv:2411.02372, ``synthetic-data-generation``; MONAI's
own where the chain lists none). Lengths given in voxels are for a volume of 128 voxels a
side and scale with the side, which corrects the constants that the reference once had
fixed for 128.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from napari_mrissl.errors import MrisslError

REFERENCE_SIDE = 128
"""The side for which lengths in voxels are stated."""

MOST_TEMPLATES = 200
"""Labels are 8-bit numbers, and a mask and an envelope add one each."""


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit {limits[0]:g} is above the upper limit {limits[1]:g}")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
Amount = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ordered)]
Factor = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
Shares = Annotated[tuple[Share, Share], AfterValidator(_ordered)]


def _how_often(probability: float) -> Any:
    return Field(default=probability, title="Probability", description="How often it acts.")


class Settings(BaseModel):
    """Settings that cannot be changed, and refuse names they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EnsembleSettings(Settings):
    """How templates become one label map, its foreground mask and its envelope."""

    side: Annotated[int, Field(ge=16, le=512, multiple_of=16)] = Field(
        default=128,
        title="Side (voxels)",
        description="Voxels along each side of the volume; a multiple of 16.",
    )
    templates: Annotated[
        tuple[
            Annotated[int, Field(ge=1, le=MOST_TEMPLATES)],
            Annotated[int, Field(ge=1, le=MOST_TEMPLATES)],
        ],
        AfterValidator(_ordered),
    ] = Field(
        default=(20, 39),
        title="Templates (count)",
        description="Fewest and most templates painted over each other; the first is label 0.",
    )
    scale: Factor = Field(
        default=(0.5, 1.5),
        title="Scale (factor)",
        description="Factor from output to template voxels, per axis: 0.5 doubles a shape.",
    )
    reflect: Share = Field(
        default=0.5,
        title="Reflect (probability)",
        description="How often a shape is mirrored, per axis.",
    )
    degrees: Annotated[float, Field(ge=0, le=180)] = Field(
        default=180.0, title="Rotation (degrees)", description="Largest rotation about each axis."
    )
    shear: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.5, title="Shear (factor)", description="Largest shear factor, per pair of axes."
    )
    shift: Annotated[float, Field(ge=0, le=128)] = Field(
        default=5.0, title="Shift (voxels of 128)", description="Largest translation, per axis."
    )
    median: Literal[1, 3] = Field(
        default=3,
        title="Median (voxels)",
        description="Side of the median filter on the label numbers; 1 leaves it out.",
    )
    mask_probability: Share = Field(
        default=2 / 3,
        title="Mask probability",
        description="How often only a deformed ball of the label map is kept.",
    )
    envelope_probability: Share = Field(
        default=0.5,
        title="Envelope probability",
        description="How often a masked label map gets a shell along its border.",
    )
    ball_radius: Annotated[
        tuple[Annotated[int, Field(ge=1, le=256)], Annotated[int, Field(ge=1, le=256)]],
        AfterValidator(_ordered),
    ] = Field(
        default=(48, 71),
        title="Ball radius (voxels of 128)",
        description="Least and largest radius of the ball before it is deformed.",
    )
    ball_shift: Annotated[int, Field(ge=0, le=128)] = Field(
        default=32,
        title="Ball shift (voxels of 128)",
        description="Largest shift of the ball's centre from the middle, per axis.",
    )
    warp_scales: tuple[Annotated[int, Field(ge=1, le=128)], ...] = Field(
        default=(8, 16, 32),
        title="Warp scales (voxels of 128)",
        description="Distances between the nodes of the noise fields that deform the ball.",
    )
    warp_std: Amount = Field(
        default=(1.0, 5.0),
        title="Warp strength (voxels of 128)",
        description="Standard deviation of each noise field.",
    )
    envelope_widths: Annotated[
        tuple[Annotated[int, Field(ge=1, le=12)], ...], Field(min_length=1)
    ] = Field(
        default=(2, 3, 4),
        title="Envelope widths (voxels of 128)",
        description="How far the shell reaches to either side of the border; one is drawn.",
    )


class AppearanceSettings(Settings):
    """How labels become grey values: a Gaussian per label, and smooth noise on top."""

    mean: Amount = Field(
        default=(25.0, 255.0),
        title="Mean (of 255)",
        description="Range of the mean grey value of a label.",
    )
    std: Amount = Field(
        default=(5.0, 20.0),
        title="Spread (of 255)",
        description="Range of the standard deviation of the grey values within a label.",
    )
    background_skip: Share = Field(
        default=0.25,
        title="Empty background (probability)",
        description="Probability that the lowest label stays black, per view.",
    )
    noise_amplitude: NotNegative = Field(
        default=0.02,
        title="Noise amplitude (factor)",
        description="Weight of the smooth noise that multiplies the grey values.",
    )
    noise_scales: tuple[Annotated[int, Field(ge=1, le=128)], ...] = Field(
        default=(4, 8, 16, 32),
        title="Noise scales (voxels of 128)",
        description="Distances between the nodes of the smooth noise.",
    )
    noise_std: Amount = Field(
        default=(0.0, 5.0),
        title="Noise strength",
        description="Range of the standard deviation of the smooth noise at each scale.",
    )


class BiasFieldSettings(Settings):
    """A smooth brightness field: the exponential of a Legendre polynomial of degree 3."""

    probability: Share = _how_often(0.98)
    coefficients: Range = Field(
        default=(0.0, 0.075),
        title="Coefficients",
        description="Range of the polynomial's 20 coefficients.",
    )


class SpikeSettings(Settings):
    """One bright point in k-space: stripes across the whole image."""

    probability: Share = _how_often(0.2)
    intensity: Amount = Field(
        default=(0.95, 1.1),
        title="Intensity",
        description="Logarithm of the spike, as a multiple of 2.5 times the mean logarithm.",
    )


class ContrastSettings(Settings):
    """A gamma curve over the range of grey values."""

    probability: Share = _how_often(0.5)
    gamma: Factor = Field(
        default=(0.5, 2.0), title="Gamma (exponent)", description="Range of the exponent."
    )


class SmoothSettings(Settings):
    """A Gaussian blur with its own width along each axis."""

    probability: Share = _how_often(0.5)
    sigma: Amount = Field(
        default=(0.0, 0.333),
        title="Sigma (voxels)",
        description="Range of the standard deviation, drawn per axis.",
    )


class GibbsSettings(Settings):
    """Ringing: what lies outside a ball in k-space is cut off."""

    probability: Share = _how_often(0.5)
    alpha: Shares = Field(
        default=(0.0, 0.333),
        title="Alpha (share)",
        description="Range of the part of the largest radius that is cut off.",
    )


class SharpenSettings(Settings):
    """Edges drawn over: a blurred image plus alpha times what a second blur takes away."""

    probability: Share = _how_often(0.25)
    sigma: Factor = Field(
        default=(0.5, 1.0),
        title="Sigma (voxels)",
        description="Range of the first blur, drawn per axis.",
    )
    second_sigma: Positive = Field(
        default=0.5,
        title="Second sigma (voxels)",
        description="The second blur is drawn between this and the first, per axis.",
    )
    alpha: Amount = Field(
        default=(10.0, 30.0), title="Alpha (weight)", description="Range of the weight."
    )


class LowResolutionSettings(Settings):
    """Sampling on a coarser grid and back."""

    probability: Share = _how_often(0.333)
    zoom: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]],
        AfterValidator(_ordered),
    ] = Field(
        default=(0.5, 1.0),
        title="Zoom (factor)",
        description="Range of the coarse grid's side over the full one.",
    )


class AugmentationSettings(Settings):
    """The chain that each view goes through, stage by stage in this order."""

    bias: BiasFieldSettings = Field(default=BiasFieldSettings(), title="Bias field")
    spike: SpikeSettings = Field(default=SpikeSettings(), title="K-space spike")
    contrast: ContrastSettings = Field(default=ContrastSettings(), title="Contrast")
    smooth: SmoothSettings = Field(default=SmoothSettings(), title="Smoothing")
    gibbs: GibbsSettings = Field(default=GibbsSettings(), title="Gibbs ringing")
    sharpen: SharpenSettings = Field(default=SharpenSettings(), title="Sharpening")
    low_resolution: LowResolutionSettings = Field(
        default=LowResolutionSettings(), title="Low resolution"
    )


class EngineSettings(Settings):
    """All that the data engine needs beside templates and a seed."""

    version: Literal[1] = 1
    ensemble: EnsembleSettings = Field(default=EnsembleSettings(), title="Labels")
    appearance: AppearanceSettings = Field(default=AppearanceSettings(), title="Appearance")
    augmentation: AugmentationSettings = Field(default=AugmentationSettings(), title="Augmentation")

    @classmethod
    def of_side(cls, side: int) -> EngineSettings:
        """The faithful defaults for a volume of ``side`` voxels along each axis.

        Raises
        ------
        MrisslError
            If the side is no multiple of 16 from 16 to 512.
        """
        try:
            return cls(ensemble=EnsembleSettings(side=side))
        except ValidationError as error:
            raise MrisslError(
                f"a side of {side}", expected="a multiple of 16 from 16 to 512"
            ) from error
