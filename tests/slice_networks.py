"""Small networks for slices with real files of weights, made without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_mrissl.networks import weights
from napari_mrissl.pretext.navigation.dynamics_network import DynamicsNetwork
from napari_mrissl.pretext.navigation.settings import DynamicsSettings, TokenizerSettings
from napari_mrissl.pretext.navigation.tokenizer import TokenizerNetwork

SLICES = {"size": 16, "patch": 4, "width": 16, "depth": 1, "decoder": 1, "heads": 2, "latent": 6}
DYNAMICS = {"width": 12, "depth": 2, "heads": 2, "context": 4}
PREPARED = {"kind": "percentile", "low": 0.5, "high": 99.5}


def tokenizer_file(folder: Path, seed: int = 0, **card: Any) -> Path:
    """Weights of a tokenizer, drawn at random, in a folder that may be taken for a run's."""
    settings = TokenizerSettings.model_validate({"backbone": SLICES})
    torch.manual_seed(seed)
    return _written(folder, TokenizerNetwork(settings.backbone), "tokenizer", settings, card)


def dynamics_file(folder: Path, seed: int = 0, **card: Any) -> Path:
    """As `tokenizer_file`, with dynamics that change what they are told to."""
    task = {"backbone": SLICES, "dynamics": DYNAMICS, "flights": {"frames": 4}}
    settings = DynamicsSettings.model_validate({**task, **card.pop("task", {})})
    torch.manual_seed(seed)
    network = DynamicsNetwork(settings)
    # Untrained ones copy: their last layer is zero.
    torch.nn.init.normal_(network.dynamics.out[1].weight, std=0.3)
    return _written(folder, network, "dynamics", settings, card)


def _written(
    folder: Path, network: torch.nn.Module, method: str, settings: Any, card: dict[str, Any]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    said = {"method": method, "task": settings.model_dump(mode="json"), "preprocessing": PREPARED}
    path = folder / "weights.safetensors"
    weights.save(path, network.state_dict(), {**said, "data": "heads", **card})
    return path
