"""What can be chosen for the task ``observable``, without torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import Settings, Share

ViewKind = Literal["cube", "slab"]
VectorHead = Literal["potential", "edge"]
GradViews = Literal["first", "all"]


class ViewSettings(Settings):
    """What a view of a scan is, and how it is drawn."""

    kind: ViewKind = Field(
        default="cube",
        title="Kind",
        description="Cubes anywhere in a scan, or slabs: stacks of a few axial slices, in its "
        "middle, at any height.",
    )
    side: int = Field(
        default=64,
        ge=16,
        le=160,
        multiple_of=4,
        title="Side (voxels)",
        description="What every view is resized to, along each axis; of a slab along A and R.",
    )
    edge_mm: float = Field(
        default=64.0,
        gt=0,
        le=1000,
        title="Edge (mm)",
        description="Length of a view's edge; of a cube at most the scan's shortest side.",
    )
    slab: int = Field(
        default=8,
        ge=2,
        le=64,
        title="Thickness (voxels)",
        description="Of a slab, along S, in voxels as large as those along A and R.",
    )
    body: Share = Field(
        default=0.25,
        title="Least body",
        description="Share of a view that is to be body, not air: others are drawn again. With 0 "
        "all places are as likely.",
    )
    jitter: Share = Field(
        default=0.8,
        title="Recoloured",
        description="How often a view gets another contrast, brightness and noise, each view its "
        "own: so that grey values do not tell which scan or place it is of.",
    )

    @property
    def voxels(self) -> tuple[int, int, int]:
        """Of every view, along (S, A, R)."""
        return (self.slab if self.kind == "slab" else self.side, self.side, self.side)

    @property
    def thickness_mm(self) -> float:
        """Edge of a view along S."""
        return self.edge_mm * self.voxels[0] / self.side


class LossWeights(Settings):
    """What each term counts; all 1 in the authors' public code for arXiv:2509.05967."""

    axis: float = Field(
        default=1.0, ge=0, le=100, title="Axis gap", description="Squared errors of gaps."
    )
    norm: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Length of gap",
        description="Squared errors of the lengths of gaps.",
    )
    adjacent: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Adjacent",
        description="How unlike chunks are that face each other.",
    )
    distant: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Distant",
        description="How alike chunks on far sides are.",
    )
    vector: float = Field(
        default=1.0, ge=0, le=100, title="Vector", description="Errors of vectors between views."
    )
    route: float = Field(
        default=1.0, ge=0, le=100, title="Route", description="Errors of where routes end."
    )
    loop: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="Loop",
        description="How far closed routes miss their start; of the edge head alone.",
    )
    antisymmetry: float = Field(
        default=1.0,
        ge=0,
        le=100,
        title="There and back",
        description="How far a vector and the one back differ; of the edge head alone.",
    )


class ObservableSettings(TaskSettings):
    """Gaps, chunks, vectors and routes between views of a scan (arXiv:2509.05967).

    Defaults are those of the authors' public code where it says them. Departures: a residual
    U-Net instead of MedNeXt, which the setting of the network takes; trunks of at least
    ``width`` channels, where the code has an eighth of the backbone's; gaps without a bias;
    chunks along the true direction, see `napari_mrissl.pretext.observable.chunks`; views in the
    body, each recoloured. Scale, sizes and schedule are inferred: the code has none.
    """

    backbone: BackboneSettings = Field(
        default=BackboneSettings(), title="Network", description="The backbone that is pretrained."
    )
    view: ViewSettings = Field(
        default=ViewSettings(), title="Views", description="What is looked at, and where."
    )
    views: int = Field(
        default=3,
        ge=2,
        le=8,
        title="Views",
        description="Of each scan in a sample; above 5 only some routes are walked.",
    )
    scale_mm: float = Field(
        default=100.0,
        gt=0,
        le=2000,
        title="Scale (mm)",
        description="A gap of this length is 1 to the network; stored with the run.",
    )
    width: int = Field(
        default=32,
        ge=4,
        le=256,
        title="Width of heads",
        description="Channels that a view's summary has at least.",
    )
    bias: bool = Field(
        default=False,
        title="Bias of gaps",
        description="As in the published code: a view is then at some distance from itself.",
    )
    chunks: bool = Field(
        default=True,
        title="Chunks",
        description="Which parts of two views face each other, by features that are to be alike.",
    )
    chunk: float = Field(
        default=0.75,
        ge=0.25,
        le=0.9,
        title="Chunk",
        description="Edge of a chunk as a share of the view's.",
    )
    pool: bool = Field(
        default=False,
        title="Pooled chunks",
        description="Compare means of chunks, not their voxels one by one.",
    )
    vectors: bool = Field(
        default=True, title="Vectors", description="Predict the vector from view to view."
    )
    vector_head: VectorHead = Field(
        default="potential",
        title="Head of vectors",
        description="Potential: differences of predicted places, as published, for which routes "
        "say nothing new. Edge: any vector for each pair, so that routes and loops constrain it.",
    )
    routes: bool = Field(
        default=True,
        title="Routes",
        description="Walk the vectors from view to view: the end is to be right.",
    )
    grad_views: GradViews = Field(
        default="first",
        title="Views that teach",
        description="First: the others go through a slowly following copy of the network, as "
        "published. All: through the network itself.",
    )
    teacher_rate: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        title="Rate of the copy",
        description="Least share by which the copy follows in a step.",
    )
    teacher_steps: float = Field(
        default=100.0,
        ge=0,
        le=1e6,
        title="Steps of the copy",
        description="At step n the copy follows by this number over itself plus n, or by its rate.",
    )
    weights: LossWeights = Field(
        default=LossWeights(), title="Weights", description="Of the terms of the loss."
    )

    @property
    def chunk_voxels(self) -> tuple[int, int, int]:
        """Of a chunk, along (S, A, R): smaller than a view."""
        s, a, r = (min(n - 1, max(1, round(self.chunk * n))) for n in self.view.voxels)
        return s, a, r

    @model_validator(mode="after")
    def _fits(self) -> Self:
        stride, least = self.backbone.stride, self.backbone.least_side
        for side in self.view.voxels:
            if side % stride or side < least:
                raise ValueError(
                    f"views of {side} voxels a side do not suit this network, which needs a "
                    f"multiple of {stride}, at least {least}"
                )
        if self.routes and not self.vectors:
            raise ValueError("routes are walked by vectors, which are not to be learned")
        return self


def _load() -> type:
    from napari_mrissl.pretext.observable.task import Observable

    return Observable


INFO = TaskInfo(
    name="observable",
    title="Observable tasks",
    description="The network tells how far apart views of a scan are and which way, which parts "
    "of them face each other, and where routes between them lead.",
    source="2509.05967",
    settings=ObservableSettings,
    presets={
        "tiny": {
            "task": {
                "backbone": {"width": 8, "depth": 3},
                "view": {"side": 16},
                "grad_views": "all",
            },
            "optimisation": {"steps": 60, "batch": 4, "learning_rate": 2e-3, "warmup": 10},
            "data": {"heads": 4, "engine": {"side": 64}},
        },
        "cpu": {
            "task": {
                "backbone": {"width": 8, "depth": 4},
                "view": {"side": 16, "edge_mm": 80.0},
                "grad_views": "all",
            },
            "optimisation": {
                "steps": 4000,
                "batch": 8,
                "learning_rate": 2e-3,
                "warmup": 100,
                "weight_decay": 0.01,
            },
            "checkpoint": {"every": 500, "validate_every": 500, "images_every": 500},
            "data": {"heads": 180, "engine": {"side": 64}},
        },
        "gpu": {
            "task": {
                "backbone": {"width": 32, "depth": 5},
                "view": {"side": 64, "edge_mm": 80.0},
            },
            "optimisation": {
                "steps": 20_000,
                "batch": 4,
                "learning_rate": 1e-4,
                "weight_decay": 0.05,
                "warmup": 500,
                "precision": "bfloat16",
            },
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
    },
    load=_load,
)
