"""Settings that several pretext methods share; nothing here imports torch or numba."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from napari_mrissl.networks.settings import BackboneSettings


class Settings(BaseModel):
    """Settings that cannot be changed, and refuse names they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the lower limit {limits[0]:g} is above the upper limit {limits[1]:g}")
    return limits


def word(value: object) -> object:
    """What a command line said, of a setting one of whose words is ``true``: JSON reads it."""
    return "true" if value is True else value


Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]],
    AfterValidator(_ordered),
]
Factor = Annotated[
    tuple[Annotated[float, Field(gt=0, le=10)], Annotated[float, Field(gt=0, le=10)]],
    AfterValidator(_ordered),
]


class CropSettings(Settings):
    """Which cubes are cut out of a scan; defaults as in arXiv:2211.08533."""

    side: int = Field(
        default=96,
        ge=16,
        le=256,
        multiple_of=16,
        title="Side (voxels)",
        description="What every crop is resized to, along each axis.",
    )
    edge_mm: float = Field(
        default=96.0,
        gt=0,
        le=1000,
        title="Edge (mm)",
        description="Length of a crop's edge in the scan at scale 1.",
    )
    scale: Factor = Field(
        default=(0.5, 1.5),
        title="Scale",
        description="Range of the factor that the edge is multiplied with.",
    )
    element: Literal["any", "rotations", "none"] = Field(
        default="any",
        title="Orientation",
        description="any of the 48 turns and mirror images of a cube; rotations, the 24 turns "
        "that mirror nothing, as a mirror makes left right; or none: as it lies.",
    )
    least_mean: Share = Field(
        default=0.05,
        title="Least mean",
        description="Crops with a lower mean, in [0, 1], are drawn again: they are mostly air.",
    )


class CorruptionSettings(Settings):
    """How a crop is spoiled: shuffled, recoloured and painted, in this order.

    The probabilities are those of the boundary-focused reconstruction of arXiv:2211.08533.
    """

    shuffle: Share = Field(
        default=0.25,
        title="Shuffle",
        description="How often the voxels of many small windows change places.",
    )
    windows: int = Field(
        default=5000,
        ge=0,
        le=100_000,
        title="Windows",
        description="How many windows are shuffled, one after the other.",
    )
    window: Share = Field(
        default=0.1,
        title="Window",
        description="Longest edge of a shuffled window, as a share of the crop's side.",
    )
    intensity: Share = Field(
        default=0.5,
        title="Recolour",
        description="How often grey values are sent through a random curve.",
    )
    inverted: Share = Field(
        default=0.5, title="Inverted", description="How many of those curves fall, not rise."
    )
    paint: Share = Field(
        default=0.75, title="Paint", description="How often something is painted over."
    )
    inside: Share = Field(
        default=0.5,
        title="Painted inside",
        description="How many of those have boxes painted over; the others only boxes left.",
    )
    boxes: int = Field(
        default=10, ge=1, le=100, title="Boxes", description="Most boxes painted or left."
    )
    inside_edge: Shares = Field(
        default=(1 / 6, 1 / 3),
        title="Painted edge",
        description="Range of the edges of a painted box, as a share of the crop's side.",
    )
    outside_edge: Shares = Field(
        default=(3 / 7, 4 / 7),
        title="Left edge",
        description="Range of the edges of a box that is left, as a share of the crop's side.",
    )


class EdgeSettings(Settings):
    """What counts as a boundary: the gradient of the median-filtered crop, from a threshold.

    B = clip(gain * (gradient - threshold), 0, 1); with the defaults of arXiv:2211.08533 a
    boundary begins where Scharr's filter gives 1 % of the intensity range, and is full at 4.33 %.
    """

    median: Literal[1, 3, 5] = Field(
        default=5,
        title="Median (voxels)",
        description="Side of the median filter before the gradient; 1 leaves it out.",
    )
    threshold: float = Field(
        default=0.01,
        ge=0,
        le=1,
        title="Threshold",
        description="Gradient where a boundary begins, as a share of the range of intensities.",
    )
    gain: float = Field(
        default=30.0,
        gt=0,
        le=1000,
        title="Gain",
        description="How fast a boundary saturates: at threshold + 1 / gain.",
    )


class _HasSide(Protocol):
    @property
    def side(self) -> int: ...


class _HasCrops(Protocol):
    @property
    def backbone(self) -> BackboneSettings: ...
    @property
    def crop(self) -> _HasSide: ...


Fitting = TypeVar("Fitting", bound=_HasCrops)


def fitting(settings: Fitting) -> Fitting:
    """Settings whose crops the backbone can halve often enough; a validator of models.

    Raises
    ------
    ValueError
        Naming the crop's side and what it has to be a multiple of.
    """
    stride = settings.backbone.stride
    if settings.crop.side % stride:
        raise ValueError(
            f"crops of {settings.crop.side} voxels a side do not suit this network, which needs "
            f"a multiple of {stride}"
        )
    if settings.crop.side < settings.backbone.least_side:
        raise ValueError(
            f"crops of {settings.crop.side} voxels a side are too small for this network, which "
            f"needs {settings.backbone.least_side}"
        )
    return settings
