"""What can be chosen for the task ``masked``, without torch."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.settings import CropSettings, fitting


class MaskedSettings(TaskSettings):
    """A masked autoencoder of crops."""

    backbone: BackboneSettings = Field(
        default=BackboneSettings(), title="Network", description="The backbone that is pretrained."
    )
    crop: CropSettings = Field(
        default=CropSettings(), title="Crops", description="Which cubes are cut out of a scan."
    )
    patch: int = Field(
        default=16,
        ge=2,
        le=64,
        title="Patch (voxels)",
        description="Side of the cubes that are hidden or shown as a whole.",
    )
    share: float = Field(
        default=0.75,
        gt=0,
        lt=1,
        title="Hidden share",
        description="How many of the patches are hidden.",
    )

    _fits = model_validator(mode="after")(fitting)

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        if self.crop.side % self.patch or self.crop.side < 2 * self.patch:
            raise ValueError(
                f"crops of {self.crop.side} voxels a side are not two or more whole patches "
                f"of {self.patch}"
            )
        if not 0 < self.hidden < self.patches:
            raise ValueError(f"a hidden share of {self.share:g} hides none or all patches")
        return self

    @property
    def patches(self) -> int:
        """Patches in a crop."""
        return int((self.crop.side // self.patch) ** 3)

    @property
    def hidden(self) -> int:
        """Patches hidden, the same number in every crop."""
        return round(self.share * self.patches)


def _load() -> type:
    from napari_mrissl.pretext.masked import Masked

    return Masked


INFO = TaskInfo(
    name="masked",
    title="Masked autoencoder",
    description="The network fills in the three quarters of a crop that it does not see.",
    source="2410.23132",
    settings=MaskedSettings,
    presets={
        "tiny": {
            "task": {"backbone": {"width": 8, "depth": 3}, "crop": {"side": 16}, "patch": 4},
            "optimisation": {"steps": 200, "batch": 8, "learning_rate": 1e-2, "warmup": 10},
            "data": {"heads": 4, "engine": {"side": 64}},
        },
        "cpu": {
            "task": {"backbone": {"width": 8, "depth": 5}, "crop": {"side": 32}, "patch": 8},
            "optimisation": {"steps": 3000, "batch": 8, "learning_rate": 2e-3, "warmup": 100},
            "data": {"heads": 64, "engine": {"side": 96}},
        },
        "gpu": {
            "task": {"backbone": {"width": 32, "depth": 6}, "crop": {"side": 128}},
            "optimisation": {
                "steps": 100_000,
                "batch": 6,
                "learning_rate": 1e-3,
                "warmup": 1000,
                "precision": "bfloat16",
            },
            "data": {"heads": 512, "engine": {"side": 192}, "workers": 8},
        },
    },
    load=_load,
)
