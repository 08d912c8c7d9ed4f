"""The pretext methods by name; importing this imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from napari_mrissl.pretext import masked_settings, reconstruction_settings, scratch_settings
from napari_mrissl.pretext.coordinates import settings as coordinate_settings
from napari_mrissl.pretext.diffusion import settings as diffusion_settings
from napari_mrissl.pretext.info import TaskInfo
from napari_mrissl.pretext.navigation import settings as navigation_settings
from napari_mrissl.pretext.observable import settings as observable_settings
from napari_mrissl.pretext.synthesis import settings as synthesis_settings
from napari_mrissl.pretext.vectorpose import settings as vectorpose_settings

TASKS: Mapping[str, TaskInfo] = {
    info.name: info
    for info in (
        vectorpose_settings.INFO,
        synthesis_settings.INFO,
        navigation_settings.TOKENIZER,
        navigation_settings.DYNAMICS,
        observable_settings.INFO,
        coordinate_settings.INFO,
        diffusion_settings.INFO,
        reconstruction_settings.INFO,
        masked_settings.INFO,
        scratch_settings.INFO,
    )
}
"""In the order in which lists show them."""
