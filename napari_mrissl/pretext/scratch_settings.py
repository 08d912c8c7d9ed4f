"""What can be chosen for the control ``scratch``, without torch."""

from __future__ import annotations

from pydantic import Field

from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.pretext.info import TaskInfo, TaskSettings


class ScratchSettings(TaskSettings):
    """No pretraining: freshly drawn weights."""

    backbone: BackboneSettings = Field(
        default=BackboneSettings(), title="Network", description="The backbone that is drawn."
    )


def _load() -> type:
    from napari_mrissl.pretext.scratch import Scratch

    return Scratch


_ONE_STEP = {"steps": 1, "batch": 1, "warmup": 0}

INFO = TaskInfo(
    name="scratch",
    title="No pretraining",
    description="Freshly drawn weights as a run of one step: what pretraining is compared with.",
    source="",
    settings=ScratchSettings,
    presets={
        "tiny": {
            "task": {"backbone": {"width": 8, "depth": 4}},
            "optimisation": _ONE_STEP,
            "data": {"heads": 2, "engine": {"side": 16}},
        },
        "cpu": {
            "task": {"backbone": {"width": 8, "depth": 5}},
            "optimisation": _ONE_STEP,
            "data": {"heads": 2, "engine": {"side": 16}},
        },
        "gpu": {
            "task": {"backbone": {"name": "res2unet_101", "width": 32}},
            "optimisation": _ONE_STEP,
            "data": {"heads": 2, "engine": {"side": 16}},
        },
    },
    load=_load,
)
