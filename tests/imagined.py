"""Small runs of slice navigation with random weights, for tests of panels: nothing is trained."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_mrissl.networks import weights
from napari_mrissl.networks.settings import DynamicsShape, TokenizerShape
from napari_mrissl.pretext.navigation.dynamics import Dynamics
from napari_mrissl.pretext.navigation.settings import (
    KINDS,
    DynamicsSettings,
    FlightSettings,
    TokenizerSettings,
)
from napari_mrissl.pretext.navigation.tokenizer import Tokenizer

STACKS = {**dict.fromkeys(KINDS, 0.0), "stack": 1.0}
"""Kinds of the control that never flies."""

PREPROCESSING = {"kind": "percentile", "low": 0.5, "high": 99.5}


def shape(size: int = 32) -> TokenizerShape:
    """Of a small tokenizer."""
    return TokenizerShape(size=size, patch=8, width=16, depth=1, decoder=1, heads=2, latent=8)


def dynamics_run(folder: Path, size: int = 32) -> Path:
    """A folder with weights of dynamics that do not merely copy."""
    torch.manual_seed(0)
    settings = DynamicsSettings(
        backbone=shape(size),
        dynamics=DynamicsShape(width=16, depth=1, heads=2, context=4),
        flights=FlightSettings(frames=4),
    )
    network = Dynamics(settings).network()
    torch.nn.init.normal_(network.dynamics.out[1].weight, std=0.1)
    return _saved(folder, "dynamics", network, settings)


def tokenizer_run(folder: Path, size: int = 32, **kinds: float) -> Path:
    """A folder with weights of a tokenizer, trained on kinds of flights."""
    torch.manual_seed(0)
    settings = TokenizerSettings(backbone=shape(size), flights=FlightSettings(frames=2, **kinds))
    return _saved(folder, "tokenizer", Tokenizer(settings).network(), settings)


def _saved(folder: Path, method: str, network: torch.nn.Module, settings: object) -> Path:
    folder.mkdir(parents=True)
    card = {
        "method": method,
        "step": 7,
        "task": settings.model_dump(mode="json"),
        "preprocessing": PREPROCESSING,
    }
    weights.save(folder / "weights.safetensors", network.state_dict(), card)
    return folder
