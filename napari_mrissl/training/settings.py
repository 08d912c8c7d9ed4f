"""What a run is: one typed, versioned model that the panel, the commands and resume share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["float32", "bfloat16", "float16", "float64"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Settings):
    """How a scan's values become [0, 1]; stored in checkpoints and checked when they load."""

    kind: Literal["percentile", "window"] = Field(
        default="percentile",
        title="Intensity scale",
        description="Percentiles of each scan, for MR; or a fixed window in HU, for CT.",
    )
    low: float = Field(default=0.5, title="Low", description="Percentile, or HU, that becomes 0.")
    high: float = Field(
        default=99.5, title="High", description="Percentile, or HU, that becomes 1."
    )


class SubjectRecord(_Settings):
    """One scan of a run, without its place: the user's own index finds it by identity."""

    identity: str = Field(pattern=r"^[0-9a-f]{64}$")
    subject: str = Field(max_length=64)
    split: Literal["train", "validation"] = "train"
    labels: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class DataSettings(_Settings):
    """Where samples come from: scans by identity, or the data engine.

    Attributes
    ----------
    kind
        ``"scans"``, ``"heads"`` (painted heads) or ``"ensembles"``.
    engine
        Settings of the data engine, validated by it.
    subjects
        The scans, or the label maps of the engine; empty for MNI152 and for procedural shapes.
    packs
        The packs by uuid in which scans are looked for before the single files.
    """

    kind: Literal["scans", "heads", "ensembles"] = "heads"
    engine: dict[str, Any] = {}
    heads: Annotated[int, Field(ge=1)] = Field(
        default=64, title="Painted heads", description="How many different heads are painted."
    )
    subjects: tuple[SubjectRecord, ...] = ()
    packs: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")], ...] = ()
    preprocessing: Preprocessing = Preprocessing()
    cache_gib: float = Field(
        default=4.0, gt=0, title="Cache (GiB)", description="Memory for decoded scans."
    )
    workers: int = Field(
        default=1,
        ge=0,
        le=64,
        title="Loaders",
        description="Threads that make samples ahead; 0 makes them in the loop.",
    )


class OptimisationSettings(_Settings):
    """The optimiser and how it is driven."""

    steps: int = Field(default=2000, ge=1, title="Steps", description="Optimiser steps in all.")
    batch: int = Field(
        default=8, ge=1, title="Batch", description="Samples per step, over all processes."
    )
    accumulation: int = Field(
        default=1,
        ge=1,
        title="Accumulation",
        description="Parts a batch is worked through in, to save memory.",
    )
    learning_rate: float = Field(
        default=1e-3, gt=0, title="Learning rate", description="Peak, after warm-up (AdamW)."
    )
    weight_decay: float = Field(default=0.0, ge=0, title="Weight decay", description="Of AdamW.")
    betas: tuple[float, float] = Field(default=(0.9, 0.999), title="Betas", description="Of AdamW.")
    schedule: Literal["cosine", "stages"] = Field(
        default="cosine",
        title="Schedule",
        description="How the rate falls: by half a cosine, or in five equal stages, by a fifth of "
        "the peak each.",
    )
    warmup: int = Field(
        default=50, ge=0, title="Warm-up", description="Steps until the peak learning rate."
    )
    final_rate: float = Field(
        default=0.01,
        ge=0,
        le=1,
        title="Final rate",
        description="Last learning rate as a share of the peak, for a cosine.",
    )
    clip: float = Field(
        default=1.0, ge=0, title="Clip", description="Largest gradient norm; 0 does not clip."
    )
    ema: float = Field(
        default=0.0, ge=0, lt=1, title="EMA", description="Decay of averaged weights; 0 keeps none."
    )
    precision: Precision = Field(
        default="float32", title="Precision", description="bfloat16 on GPUs only."
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        title="CPU threads",
        description="0 leaves one core of more than two to the viewer; the processes of a "
        "machine share them. Another number may change the last digits of a run on the CPU.",
    )
    compile: bool = Field(
        default=False, title="Compile", description="Use torch.compile: slow start, then faster."
    )


class CheckpointSettings(_Settings):
    """When the run is saved."""

    every: int = Field(
        default=200, ge=1, title="Every (steps)", description="Steps between checkpoints."
    )
    keep: int = Field(
        default=2, ge=2, title="Keep", description="Newest checkpoints kept, besides the best."
    )
    images_every: int = Field(
        default=100, ge=0, title="Images every", description="Steps between pictures; 0 makes none."
    )
    validate_every: int = Field(
        default=200,
        ge=0,
        title="Validate every",
        description="Steps between measurements on held-out subjects; 0 makes none.",
    )


class RunSettings(_Settings):
    """All that a run needs to be made again, but for the scans themselves.

    Attributes
    ----------
    method
        Name of the task in the registry.
    task
        The task's settings, as its model dumps them.
    shuffled
        Whether targets are shuffled between the samples of a batch: the null control.
    initial
        Weights to start from, by the sha256 of their file; None draws new ones.
    """

    version: Literal[1] = 1
    method: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    task: dict[str, Any] = {}
    data: DataSettings = DataSettings()
    optimisation: OptimisationSettings = OptimisationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    seed: int = Field(default=0, ge=0, title="Seed", description="All randomness follows from it.")
    device: str = Field(default="auto", title="Device", description="auto, cpu, cuda, cuda:1 ...")
    shuffled: bool = False
    initial: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
