"""How two scans are registered, as one typed settings object; without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_mrissl.networks.weight_library import DEFAULT

Initial = Literal["header", "centres", "moments", "landmarks"]
Linear = Literal["none", "rigid", "affine"]
Features = Literal["mind", "network", "both", "intensity"]
Window = tuple[float, float]

CT_WINDOW: Window = (-450.0, 450.0)
"""HU that a CT is clipped to, as the code of arXiv:2411.02372 does before registration."""


class RegistrationSettings(BaseModel):
    """How a moving scan is brought onto a fixed one.

    Attributes
    ----------
    initial
        Where the linear part begins: the headers as they are, the middles of both grids on each
        other, the centres of mass and the principal axes, or a map fitted to given landmarks.
    linear
        What SimpleITK then optimises by mutual information.
    deformable
        Whether a displacement field follows.
    features
        What is compared: MIND-SSC, a network's features, both, or the grey values themselves.
    weights
        Of the network, as for `NetworkSettings.weights`.
    fixed_window, moving_window
        Values that the scan is clipped to before features are taken, e.g. -450 and 450 HU.
    channels
        To how many the features are reduced by principal components; 0 keeps all.
    spacing_mm
        Of the grid on which features are compared; 0 for the fixed scan's own.
    grid, search
        Voxels between the nodes of the discrete search, and how many nodes it looks each way.
    adam_grid, iterations, smoothness, learning_rate
        Voxels between the nodes of the field, steps of Adam, weight of the squared differences
        between neighbouring nodes (in nodes), and Adam's step.
    field_smoothing
        Standard deviation, in voxels of the grid, of a Gaussian that the field goes through at the
        end; 0 for none.
    inverse_consistent
        Whether the search runs both ways and is made consistent.
    mind_radius, mind_dilation
        In voxels of the grid.
    memory_gib
        Which the deformable part may take; a coarser grid is used where it does not suffice. The
        least, 0.05, does for about 80^3 voxels of MIND with the other settings as they are, and
        about 48^3 with a search of 8 nodes. It is refused only where the coarsest grid, of
        two times the least common multiple of `grid` and `adam_grid` a side, takes more; the
        refusal says how much.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` ... A GPU computes in half precision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    initial: Initial = Field(
        default="header", title="Begin with", description="Where the linear alignment begins."
    )
    linear: Linear = Field(
        default="rigid", title="Linear", description="Optimised by mutual information."
    )
    deformable: bool = Field(
        default=True, title="Deformable", description="Follow with a displacement field."
    )
    features: Features = Field(
        default="mind", title="Features", description="What is compared between the scans."
    )
    weights: str = Field(
        default=DEFAULT, min_length=1, max_length=4096, title="Weights", description="Of a network."
    )
    fixed_window: Window | None = Field(
        default=None, title="Clip fixed to", description="E.g. -450 to 450 HU for a CT."
    )
    moving_window: Window | None = Field(
        default=None, title="Clip moving to", description="E.g. -450 to 450 HU for a CT."
    )
    channels: int = Field(
        default=0, ge=0, le=64, title="Channels", description="Reduced to so many; 0 keeps all."
    )
    spacing_mm: Annotated[float, Field(ge=0, le=20)] = Field(
        default=0.0, title="Grid (mm)", description="Spacing; 0 for the fixed scan's own."
    )
    grid: int = Field(default=4, ge=1, le=12, title="Search grid", description="Voxels per node.")
    search: int = Field(
        default=3, ge=1, le=8, title="Search reach", description="Nodes to each side."
    )
    adam_grid: int = Field(
        default=2, ge=1, le=12, title="Field grid", description="Voxels per node of the field."
    )
    iterations: int = Field(
        default=80, ge=0, le=2000, title="Iterations", description="Of the refinement."
    )
    smoothness: float = Field(
        default=1.25, ge=0, le=1000, title="Smoothness", description="Weight of smoothness."
    )
    learning_rate: float = Field(
        default=1.0, gt=0, le=10, title="Step", description="Adam's learning rate."
    )
    field_smoothing: float = Field(
        default=0.0, ge=0, le=20, title="Field smoothing", description="In voxels, at the end."
    )
    inverse_consistent: bool = Field(
        default=True, title="Inverse consistent", description="Search both ways."
    )
    mind_radius: int = Field(default=1, ge=1, le=4, title="MIND radius", description="Voxels.")
    mind_dilation: int = Field(default=2, ge=1, le=8, title="MIND dilation", description="Voxels.")
    memory_gib: float = Field(
        default=4.0,
        ge=0.05,
        le=1024,
        title="Memory (GiB)",
        description="Of the deformable part: less makes the grid coarser; 0.05 does for 80^3.",
    )
    device: str = Field(default="auto", title="Device", description="auto, cpu, cuda, cuda:1 ...")

    @field_validator("fixed_window", "moving_window")
    @classmethod
    def _ordered(cls, window: Window | None) -> Window | None:
        if window is not None and not window[0] < window[1]:
            raise ValueError(f"{window[0]:g} to {window[1]:g} is no range")
        return window


PRESETS: dict[str, RegistrationSettings] = {
    "same person": RegistrationSettings(),
    "MR to MR": RegistrationSettings(initial="moments", linear="affine"),
    "smooth": RegistrationSettings(
        mind_dilation=1, adam_grid=1, iterations=40, field_smoothing=1.75
    ),
    "MR to CT": RegistrationSettings(
        initial="centres", linear="affine", fixed_window=CT_WINDOW, search=4
    ),
}
"""Settings for usual pairs; of the last, the fixed scan is the CT.

The smooth one compares finer detail, on every voxel, and smooths what it finds: closer to the
truth where the displacement is smooth, at about three times the time and four times the memory.
"""
