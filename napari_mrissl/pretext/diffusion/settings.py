"""What can be chosen for the task ``diffusion``, without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from napari_mrissl.networks.diffusion_cards import DIFFUSION, GuidedShape
from napari_mrissl.networks.noise_schedule import Kind, Prediction
from napari_mrissl.networks.settings import BackboneSettings, DenoiserShape
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import Settings, Share, word


class PatchSettings(Settings):
    """Which patches are cut out of a scan."""

    side: int = Field(
        default=64,
        ge=16,
        le=160,
        multiple_of=4,
        title="Side (voxels)",
        description="Of every patch, along each axis.",
    )
    voxel_mm: float = Field(
        default=2.0,
        gt=0,
        le=20,
        title="Voxel (mm)",
        description="Edge of a patch's voxels; smaller where the scan is shorter than the patch. "
        "Best within the range that the coordinates were trained on.",
    )
    body: Share = Field(
        default=0.25,
        title="Least body",
        description="Share of a patch that is to be body, not air: others are drawn again.",
    )
    jitter: Share = Field(
        default=0.0,
        title="Recoloured",
        description="How often a patch gets another contrast, brightness and noise.",
    )

    @property
    def edge_mm(self) -> float:
        """Of a patch."""
        return self.side * self.voxel_mm


class DiffusionSettings(TaskSettings):
    """Denoising of patches, told where in the body they are (arXiv:2501.19265; inferred).

    Certain are diffusion, patches, and guidance by coordinates of a further model. T, schedule
    and prediction of noise are those of arXiv:2006.11239; sizes are proposals of ours.
    """

    backbone: BackboneSettings = Field(
        default=BackboneSettings(),
        title="Coordinates' network",
        description="Shape of the frozen network of body coordinates; taken over from the run "
        "that is begun from.",
    )
    denoiser: DenoiserShape = Field(
        default=DenoiserShape(), title="Denoiser", description="The network that is trained."
    )
    patch: PatchSettings = Field(
        default=PatchSettings(), title="Patches", description="What noise is taken out of."
    )
    schedule: Kind = Field(
        default="linear",
        title="Schedule",
        description="How noise rises from step to step. Steps of two schedules are not alike: "
        "compare signal-to-noise ratios.",
    )
    steps: int = Field(
        default=1000, ge=2, le=4000, title="Steps of noise", description="From clean to noise."
    )
    levels: Literal["all", "one"] = Field(
        default="all",
        title="Levels of noise",
        description="All steps, or one: a plain denoiser, which a diffusion is compared with.",
    )
    one_db: float = Field(
        default=10.0,
        ge=-30,
        le=30,
        title="The one level (dB)",
        description="Signal-to-noise ratio of the one level of a plain denoiser.",
    )
    prediction: Prediction = Field(
        default="epsilon",
        title="Prediction",
        description="Of the noise, or of the velocity v = a noise - s patch.",
    )
    coordinates: Annotated[Literal["true", "none", "shuffled"], BeforeValidator(word)] = Field(
        default="true",
        title="Coordinates",
        description="True ones; none, the network without guidance, which begins from no other; "
        "or shuffled: those of another patch, which tell nothing.",
    )
    encoding: Literal["plain", "waves"] = Field(
        default="plain",
        title="Encoding",
        description="Three channels, or sines and cosines of them at four frequencies.",
    )
    dropout: float = Field(
        default=0.15,
        ge=0,
        le=0.9,
        title="Coordinate dropout",
        description="How often a patch has no coordinates, so that the network works without "
        "them and guidance can be made stronger.",
    )
    joint: float = Field(
        default=0.0,
        ge=0,
        le=10,
        title="Joint head",
        description="Weight of coordinates that the deepest map is to tell of a noisy patch; 0 "
        "has no such head.",
    )
    film: bool = Field(
        default=False,
        title="FiLM",
        description="Whether the coordinates of a patch's middle also scale and shift its maps.",
    )

    @property
    def guided(self) -> bool:
        """Whether the network is told coordinates, be they right or not."""
        return self.coordinates != "none"

    @property
    def begins_anew(self) -> bool:
        """Without coordinates there is no network of them to begin from."""
        return not self.guided

    @property
    def shape(self) -> GuidedShape:
        """Of the network."""
        backbone = self.backbone if self.guided else None
        return GuidedShape(self.denoiser, backbone, self.encoding, self.film, self.joint > 0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for stride, whose in (
            (self.denoiser.stride, "denoiser"),
            (self.backbone.stride, "coordinates' network"),
        ):
            if self.patch.side % stride:
                raise ValueError(
                    f"patches of {self.patch.side} voxels a side do not suit the {whose}, which "
                    f"needs a multiple of {stride}"
                )
        if self.guided and self.patch.side < self.backbone.least_side:
            raise ValueError(
                f"patches of {self.patch.side} voxels a side are too small for the coordinates' "
                f"network, which needs {self.backbone.least_side}"
            )
        if not self.guided and (self.joint or self.film):
            raise ValueError("a joint head and FiLM need coordinates")
        return self


def _load() -> type:
    from napari_mrissl.pretext.diffusion.task import Diffusion

    return Diffusion


_TINY = {"width": 8, "depth": 2, "blocks": 1, "attention": False}
_CPU = {"width": 8, "depth": 3, "blocks": 1, "attention": True}

INFO = TaskInfo(
    name=DIFFUSION,
    title="Diffusion with body coordinates",
    description="The network takes noise out of patches, told by another network where in the "
    "body they are.",
    source="2501.19265",
    settings=DiffusionSettings,
    presets={
        "tiny": {
            "task": {
                "backbone": {"width": 8, "depth": 3},
                "denoiser": _TINY,
                "patch": {"side": 16, "voxel_mm": 3.0},
            },
            "optimisation": {
                "steps": 60,
                "batch": 4,
                "learning_rate": 2e-3,
                "warmup": 10,
                "ema": 0.9,
            },
            "data": {"heads": 4, "engine": {"side": 64}},
        },
        "cpu": {
            "task": {
                "backbone": {"width": 8, "depth": 4},
                "denoiser": _CPU,
                "patch": {"side": 24, "voxel_mm": 3.0},
            },
            "optimisation": {
                "steps": 1200,
                "batch": 8,
                "learning_rate": 1e-3,
                "warmup": 100,
                "ema": 0.995,
            },
            "checkpoint": {"every": 250, "validate_every": 250, "images_every": 500},
            "data": {"heads": 96, "engine": {"side": 64}},
        },
        "gpu": {
            "task": {
                "backbone": {"width": 32, "depth": 5},
                "denoiser": {"width": 32, "depth": 4, "blocks": 2, "attention": True},
                "patch": {"side": 64, "voxel_mm": 2.0},
            },
            "optimisation": {
                "steps": 100_000,
                "batch": 10,
                "learning_rate": 2e-4,
                "warmup": 1000,
                "ema": 0.9999,
                "precision": "bfloat16",
            },
            "checkpoint": {"every": 2000, "validate_every": 2000, "images_every": 2000},
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
    },
    load=_load,
    begins_from="coordinates",
)
