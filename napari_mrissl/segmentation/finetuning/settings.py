"""What is chosen to finetune, from Python, the command line and the panel alike; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from napari_mrissl.networks.weight_library import DEFAULT
from napari_mrissl.pretext.settings import Settings
from napari_mrissl.segmentation.finetuning.task_settings import LabelClass, Millimetres, Mode, Side
from napari_mrissl.training.building import checked

SCRATCH = "scratch"
"""In place of weights: a network that is drawn."""

Preset = Literal["tiny", "cpu", "gpu"]

LARGEST_PATCH = {"tiny": 16, "cpu": 64, "gpu": 128}
"""Longest side of a crop in voxels that a preset chooses by itself."""


class FinetuneSettings(Settings):
    """How labelled scans become a trained segmenter; what is None follows the preset.

    Attributes
    ----------
    weights
        ``"default"``, a name of the library, a run's folder, a file, or ``"scratch"``.
    patch
        Voxels of a crop along (S, A, R); None takes the size of the scans, up to
        `LARGEST_PATCH`.
    spacing
        ``"median"`` of the training scans along each axis, ``"native"`` (each scan as it is),
        or (S, A, R) mm.
    unlabelled
        The value in dense label maps of voxels of which nothing is known.
    classes
        The table of classes; labels that occur and are not in it are added with a name.
    changes
        Any other setting of the run by key, as ``--set KEY=VALUE``: ``{"backbone.width": 8}``
        (scratch only), ``{"spatial.degrees": 10}``, ``{"checkpoint.every": 10}``.
    """

    weights: str = Field(
        default=DEFAULT, min_length=1, max_length=4096, title="Weights", description="Start here."
    )
    mode: Mode = Field(
        default="full",
        title="Train",
        description="full, the whole network; linear or nonlinear, a head on frozen features.",
    )
    preset: Preset = Field(
        default="cpu", title="Preset", description="cpu ends in minutes; gpu is as published."
    )
    seed: int = Field(default=0, ge=0, title="Seed", description="All randomness follows from it.")
    device: str = Field(default="auto", title="Device", description="auto, cpu, cuda, cuda:1 ...")
    steps: Annotated[int, Field(ge=1)] | None = Field(
        default=None, title="Steps", description="Optimiser steps in all."
    )
    batch: Annotated[int, Field(ge=1)] | None = Field(
        default=None, title="Batch", description="Crops of a step."
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None, title="Learning rate", description="Peak, of the head."
    )
    backbone_rate: float = Field(
        default=1.0,
        gt=0,
        le=1,
        title="Backbone's rate",
        description="Learning rate of a pretrained backbone as a share of the head's.",
    )
    patch: tuple[Side, Side, Side] | None = Field(
        default=None, title="Crop (voxels)", description="Sides of a crop along S, A, R."
    )
    spacing: Literal["median", "native"] | tuple[Millimetres, Millimetres, Millimetres] = Field(
        default="median", title="Spacing", description="What scans are resampled to."
    )
    unlabelled: int | None = Field(
        default=None,
        title="Not labelled",
        description="Value of voxels in label maps of which nothing is known.",
    )
    classes: tuple[LabelClass, ...] = ()
    changes: Mapping[str, Any] = Field(default_factory=dict)


def chosen_settings(content: Mapping[str, Any]) -> FinetuneSettings:
    """Settings from plain data.

    Raises
    ------
    MrisslError
        On the first field that is wrong.
    """
    return checked(FinetuneSettings, content, where="finetuning settings")
