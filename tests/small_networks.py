"""Networks of a few weights, drawn at random, as files that a user would have."""

from pathlib import Path

from napari_mrissl.networks import weights
from napari_mrissl.networks.unet_layout import UNetSize
from napari_mrissl.networks.weight_library import import_weights, load_unet

SIZE = UNetSize(1, 4, 2, 2)


def save(path: Path, seed: int = 0, size: UNetSize = SIZE) -> Path:
    """A file of weights."""
    weights.save(path, load_unet(None, seed, size=size).state_dict(), {"method": "test"})
    return path


def imported(folder: Path, name: str, seed: int = 0) -> str:
    """Weights in the user's library; returns their name."""
    return import_weights(save(folder / f"{name}.safetensors", seed), name).name
