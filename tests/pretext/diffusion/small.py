"""Settings of a diffusion run that is small enough for quick tests."""

from __future__ import annotations

from napari_mrissl.training.settings import RunSettings

SMALL = {
    "backbone": {"width": 8, "depth": 3},
    "denoiser": {"width": 8, "depth": 2, "blocks": 1, "attention": True},
    "patch": {"side": 16, "voxel_mm": 1.5, "body": 0.1},
}


def small_diffusion(**task: object) -> RunSettings:
    """Settings with others of the method's own."""
    return RunSettings.model_validate(
        {
            "method": "diffusion",
            "task": {**SMALL, **task},
            "data": {"workers": 0},
            "optimisation": {"batch": 4, "learning_rate": 1e-3, "warmup": 4, "ema": 0.9},
            "device": "cpu",
        }
    )
