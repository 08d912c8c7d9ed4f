"""What can be chosen for the task ``coordinates``, without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import Factor, Settings, Share, fitting

Objective = Literal["distance", "order"]


class PairSettings(Settings):
    """Which pairs of crops are cut out of a scan, and which points are compared in them."""

    side: int = Field(
        default=64,
        ge=16,
        le=160,
        multiple_of=4,
        title="Side (voxels)",
        description="Of every crop, along each axis.",
    )
    spacing: Factor = Field(
        default=(1.0, 4.0),
        title="Voxels (mm)",
        description="Range of the edges of a crop's voxels, drawn for each crop and axis; a crop "
        "is no longer than the scan.",
    )
    pairs: int = Field(
        default=8,
        ge=1,
        le=32,
        title="Pairs",
        description="Pairs of crops that overlap, of each scan in a sample; points of all of "
        "them are compared with each other.",
    )
    points: int = Field(
        default=512,
        ge=4,
        le=4096,
        title="Points",
        description="In the body, where the two crops of a pair overlap.",
    )
    anywhere: int = Field(
        default=512,
        ge=0,
        le=4096,
        title="Points anywhere",
        description="More points of each crop by itself, in body or air.",
    )
    jitter: Share = Field(
        default=0.8,
        title="Recoloured",
        description="How often a crop gets another contrast, brightness and noise, each crop its "
        "own.",
    )
    masked: Share = Field(
        default=0.5, title="Masked", description="How often blocks of a crop are painted black."
    )
    hidden: Share = Field(
        default=0.6, title="Hidden", description="Share of the blocks of a masked crop."
    )


class CoordinateSettings(TaskSettings):
    """Three coordinates for every voxel (arXiv:2409.10291).

    Numbers of points and pairs, colours and masks are as in the authors' public code.
    Departures: a residual U-Net instead of a ConvNeXt pyramid, which the setting of the network
    takes; crops are cubes in voxels; distances over a fixed length instead of over the spread
    of a batch, so that a sample means the same in any batch; hidden blocks are black, not a
    learned token (inferred).
    """

    backbone: BackboneSettings = Field(
        default=BackboneSettings(), title="Network", description="The backbone that is pretrained."
    )
    crop: PairSettings = Field(
        default=PairSettings(), title="Crops", description="What is compared with what."
    )
    objective: Objective = Field(
        default="distance",
        title="Objective",
        description="Distance: coordinates are as far apart as points are in mm, so that axes "
        "are right up to a turn. Order: along each of the scan's axes, which point comes first; "
        "the cheap fallback.",
    )
    scale_mm: float = Field(
        default=100.0,
        gt=0,
        le=2000,
        title="Scale (mm)",
        description="A distance of this length is 1 to the network; stored with the run.",
    )
    same: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Same point",
        description="Weight of how far apart one point is found in two crops.",
    )
    slope: float = Field(
        default=0.025,
        gt=0,
        le=1,
        title="Slope of order (1/mm)",
        description="How sure the order of two points is for each mm between them.",
    )
    even: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Even steps",
        description="Weight of how unevenly coordinates rise along their axis; of order alone.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        return fitting(self)


def _load() -> type:
    from napari_mrissl.pretext.coordinates.task import Coordinates

    return Coordinates


_SMALL = {"side": 16, "spacing": (2.5, 5.0), "pairs": 3, "points": 32, "anywhere": 16}
_CPU = {"side": 24, "spacing": (2.0, 4.5), "pairs": 4, "points": 96, "anywhere": 32, "masked": 0.0}
_GPU = {"side": 64, "spacing": (1.0, 3.0), "pairs": 8}

INFO = TaskInfo(
    name="coordinates",
    title="Body coordinates",
    description="Three numbers for every voxel that say where in the body it is, learned from "
    "how far apart points of overlapping crops are.",
    source="2409.10291",
    settings=CoordinateSettings,
    presets={
        "tiny": {
            "task": {"backbone": {"width": 8, "depth": 3}, "crop": _SMALL},
            "optimisation": {"steps": 60, "batch": 2, "learning_rate": 2e-3, "warmup": 10},
            "data": {"heads": 4, "engine": {"side": 64}},
        },
        "cpu": {
            "task": {"backbone": {"width": 8, "depth": 4}, "crop": _CPU},
            "optimisation": {
                "steps": 3000,
                "batch": 2,
                "learning_rate": 2e-3,
                "warmup": 100,
                "weight_decay": 1e-6,
            },
            "checkpoint": {"every": 500, "validate_every": 500, "images_every": 500},
            "data": {"heads": 96, "engine": {"side": 64}},
        },
        "gpu": {
            "task": {"backbone": {"width": 32, "depth": 5}, "crop": _GPU},
            "optimisation": {
                "steps": 30_000,
                "batch": 2,
                "learning_rate": 3e-4,
                "weight_decay": 1e-6,
                "warmup": 1000,
                "precision": "bfloat16",
            },
            "checkpoint": {"every": 1000, "validate_every": 1000, "images_every": 1000},
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
    },
    load=_load,
)
