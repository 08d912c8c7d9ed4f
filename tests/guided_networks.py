"""Small denoisers and networks of coordinates with real files of weights, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_mrissl.networks import weights
from napari_mrissl.networks.coordinate_network import CoordinateNetwork
from napari_mrissl.pretext.coordinates.settings import CoordinateSettings
from napari_mrissl.pretext.diffusion.network import DiffusionNetwork
from napari_mrissl.pretext.diffusion.settings import DiffusionSettings

TASK = {
    "backbone": {"width": 8, "depth": 3},
    "denoiser": {"width": 8, "depth": 3, "blocks": 1, "attention": False},
    "patch": {"side": 16, "voxel_mm": 1.5},
}
CROP = {"side": 16, "spacing": (1.0, 2.0), "pairs": 2, "points": 6, "anywhere": 3}
PREPARED = {"kind": "percentile", "low": 0.5, "high": 99.5}


def denoiser(seed: int = 0, **task: Any) -> DiffusionNetwork:
    """One whose layers all say something, though many begin by saying nothing."""
    torch.manual_seed(seed)
    network = DiffusionNetwork(DiffusionSettings.model_validate({**TASK, **task}))
    for parameter in network.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def denoiser_file(folder: Path, network: DiffusionNetwork | None = None, **card: Any) -> Path:
    """Its weights, in a folder that may be taken for a run's."""
    network = network or denoiser()
    return _written(folder, network, "diffusion", network.settings, card)


def coordinates_file(folder: Path, seed: int = 0, **card: Any) -> Path:
    """As `denoiser_file`, of a network of coordinates."""
    settings = CoordinateSettings.model_validate({"backbone": TASK["backbone"], "crop": CROP})
    torch.manual_seed(seed)
    return _written(folder, CoordinateNetwork(settings.backbone), "coordinates", settings, card)


def _written(
    folder: Path, network: torch.nn.Module, method: str, settings: Any, card: dict[str, Any]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    said = {"method": method, "task": settings.model_dump(mode="json"), "preprocessing": PREPARED}
    path = folder / "weights.safetensors"
    weights.save(path, network.state_dict(), {**said, "data": "heads", **card})
    return path
