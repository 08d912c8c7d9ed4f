"""Small runs of body coordinates and diffusion with random weights, for tests of panels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_mrissl.networks import weights
from napari_mrissl.pretext.coordinates.settings import CoordinateSettings
from napari_mrissl.pretext.coordinates.task import Coordinates
from napari_mrissl.pretext.diffusion.settings import DiffusionSettings
from napari_mrissl.pretext.diffusion.task import Diffusion

SIDE, VOXEL_MM = 16, 1.5

_PREPROCESSING = {"kind": "percentile", "low": 0.5, "high": 99.5}
_BACKBONE = {"width": 8, "depth": 3}
_CROP = {"side": 16, "spacing": (1.0, 2.0), "pairs": 2, "points": 6, "anywhere": 3}
_DENOISER = {"width": 8, "depth": 2, "blocks": 1, "attention": False}


def coordinates_run(folder: Path, **card: Any) -> Path:
    """A folder with weights of body coordinates; ``card`` are more fields of their card."""
    torch.manual_seed(0)
    settings = CoordinateSettings.model_validate({"backbone": _BACKBONE, "crop": _CROP})
    network = Coordinates(settings).network()
    with torch.no_grad():
        network.coordinates.axes.weight *= 4
    return _saved(folder, "coordinates", network, settings, card)


def diffusion_run(folder: Path, **task: Any) -> Path:
    """A folder with weights of a denoiser that is not silent; ``task`` are its settings."""
    torch.manual_seed(0)
    settings = DiffusionSettings.model_validate(
        {
            "backbone": _BACKBONE,
            "denoiser": _DENOISER,
            "patch": {"side": SIDE, "voxel_mm": VOXEL_MM, "body": 0.1},
            "steps": 200,
            **task,
        }
    )
    network = Diffusion(settings).network()
    for values in network.denoiser.end.parameters():
        torch.nn.init.normal_(values, std=0.2)
    return _saved(folder, "diffusion", network, settings, {})


def _saved(
    folder: Path, method: str, network: torch.nn.Module, settings: Any, card: dict[str, Any]
) -> Path:
    folder.mkdir(parents=True)
    told = {
        "method": method,
        "step": 7,
        "task": settings.model_dump(mode="json"),
        "preprocessing": _PREPROCESSING,
        **card,
    }
    weights.save(folder / "weights.safetensors", network.state_dict(), told)
    return folder
