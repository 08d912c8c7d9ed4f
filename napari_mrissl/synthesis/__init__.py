"""The randomized data engine: label ensembles, their appearance, and augmented views."""

from napari_mrissl.synthesis.engine import Engine
from napari_mrissl.synthesis.pairs import Batch, Pair, Stage
from napari_mrissl.synthesis.settings import (
    AppearanceSettings,
    AugmentationSettings,
    EngineSettings,
    EnsembleSettings,
)
from napari_mrissl.synthesis.templates import Templates

__all__ = [
    "AppearanceSettings",
    "AugmentationSettings",
    "Batch",
    "Engine",
    "EngineSettings",
    "EnsembleSettings",
    "Pair",
    "Stage",
    "Templates",
]
