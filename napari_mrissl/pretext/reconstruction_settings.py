"""What can be chosen for the task ``reconstruction``, without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import CorruptionSettings, CropSettings, fitting


class ReconstructionSettings(TaskSettings):
    """Restoration of corrupted crops."""

    backbone: BackboneSettings = Field(
        default=BackboneSettings(), title="Network", description="The backbone that is pretrained."
    )
    crop: CropSettings = Field(
        default=CropSettings(), title="Crops", description="Which cubes are cut out of a scan."
    )
    corruption: CorruptionSettings = Field(
        default=CorruptionSettings(), title="Corruption", description="How a crop is spoiled."
    )
    loss: Literal["l1", "mse"] = Field(
        default="l1",
        title="Loss",
        description="Mean absolute error as in VectorPOSE, or mean squared as in Models Genesis.",
    )

    _fits = model_validator(mode="after")(fitting)


def _load() -> type:
    from napari_mrissl.pretext.reconstruction import Reconstruction

    return Reconstruction


INFO = TaskInfo(
    name="reconstruction",
    title="Restoration",
    description="The network restores crops that were shuffled, recoloured and painted over.",
    source="2211.08533",
    settings=ReconstructionSettings,
    presets={
        # At width 8 each channel at full resolution is normalised by itself, so that how bright
        # a crop is hardly reaches the answer, and copying what is whole beats the network.
        "tiny": {
            "task": {"backbone": {"width": 16, "depth": 3}, "crop": {"side": 16}},
            "optimisation": {"steps": 120, "batch": 8, "learning_rate": 4e-3, "warmup": 10},
            "data": {"heads": 4, "engine": {"side": 64}},
        },
        "cpu": {
            "task": {"backbone": {"width": 8, "depth": 5}, "crop": {"side": 32}},
            "optimisation": {"steps": 3000, "batch": 8, "learning_rate": 2e-3, "warmup": 100},
            "data": {"heads": 64, "engine": {"side": 96}},
        },
        "gpu": {
            "task": {
                "backbone": {"name": "res2unet_101", "width": 32},
                "crop": {"side": 96, "scale": (0.75, 1.25)},
                "corruption": {"shuffle": 0.5, "intensity": 0.9, "paint": 0.9, "inside": 0.4},
            },
            "optimisation": {
                # As many as VectorPOSE takes in its first stage (`published_1`, where the
                # number comes from): a control that had less would lose by that alone.
                "steps": 139_000,
                "batch": 12,
                "learning_rate": 2e-4,
                "warmup": 0,
                "final_rate": 0.005,
                "precision": "bfloat16",
            },
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
    },
    load=_load,
)
