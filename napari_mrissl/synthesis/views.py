"""Views of a label map: grey values per label, smooth noise, and the chain of augmentations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.synthesis.appearance import draw_appearance
from napari_mrissl.synthesis.augmentation import STAGES, AugmentationDraw, draw_augmentation
from napari_mrissl.synthesis.noise import nodes_of
from napari_mrissl.synthesis.operations import Array, Operations, Scaled
from napari_mrissl.synthesis.pairs import VIEWS
from napari_mrissl.synthesis.settings import AppearanceSettings, AugmentationSettings

Keep = Callable[[str, int | None, Array, bool, dict[str, Any]], None]


class Painter:
    """Paints any label map as the data engine paints its own.

    The same seed and index give the same views of a map, on every device to about 1e-5; of
    the maps that the engine makes for them, those of `Engine.pair`.

    Parameters
    ----------
    appearance, augmentation
        The published ones when left out.
    device
        As for `Engine`.
    """

    def __init__(
        self,
        appearance: AppearanceSettings | None = None,
        augmentation: AugmentationSettings | None = None,
        device: str = "cpu",
    ) -> None:
        self.appearance = appearance or AppearanceSettings()
        self.augmentation = augmentation or AugmentationSettings()
        self._operations = operations_on(device)

    def views(self, labels: Array, seed: int, index: int) -> list[Array]:
        """Two views (S, S, S) in [0, 1] of a map (S, S, S) of uint8, where that lies."""
        run = self._operations
        ends = run.range_of_labels(labels)
        settings = self.appearance, self.augmentation
        return [
            painted(run, labels, ends, (seed, index, view), settings)[0] for view in range(VIEWS)
        ]

    def stacked(self, labels: NDArray[np.uint8], seed: int, index: int) -> NDArray[np.float32]:
        """The same as one array (2, S, S, S)."""
        to_numpy = self._operations.to_numpy
        return np.stack([to_numpy(view) for view in self.views(labels, seed, index)])


def painted(
    run: Operations,
    labels: Array,
    ends: tuple[int, int],
    which: tuple[int, int, int],
    settings: tuple[AppearanceSettings, AugmentationSettings],
    keep: Keep | None = None,
) -> tuple[Array, dict[str, Any]]:
    """One view of a label map, and what was drawn for it.

    Parameters
    ----------
    run
        What computes the stages.
    labels, ends
        (S, S, S) uint8, its lowest and highest label.
    which
        Seed, index and number of the view.
    settings
        Of appearance and augmentation.
    keep
        Called with every stage, see `Engine.stages`.
    """
    (seed, index, view), (appearance, augmentation) = which, settings
    look = draw_appearance(seed, index, view, appearance)
    chain = draw_augmentation(seed, index, view, augmentation, len(labels))
    record = {"appearance": look.record(*ends), "augmentation": chain.record()}
    scaled = run.mixture(labels, *look.tables(ends[0]), look.key)
    if keep:
        keep("mixture", view, run.unit(scaled), True, record["appearance"])
    scales, amplitude = appearance.noise_scales, appearance.noise_amplitude
    scaled = run.modulate(scaled, nodes_of(scales), look.coarse, amplitude)
    if keep:
        keep("noise", view, run.unit(scaled), amplitude > 0, {"stds": look.noise_stds})

    def after(stage: str, image: Array) -> None:
        if keep:
            drawn = record["augmentation"][stage]
            keep(stage, view, image, drawn is not None, {stage: drawn})

    image = run.finish(augmented(run, scaled, chain, after))
    if keep:
        keep("final", view, image, True, {})
    return image, record


def augmented(
    run: Operations,
    scaled: Scaled,
    chain: AugmentationDraw,
    after: Callable[[str, Array], None] | None = None,
) -> Array:
    """The chain of augmentations on one image, each in its published place.

    Parameters
    ----------
    run
        What computes the stages.
    scaled
        (S, S, S) grey values; may be changed in place.
    chain
        What was drawn.
    after
        Called with the name and the image after each stage, acting or not.
    """
    image = run.unit(scaled) if chain.bias is None else run.bias(scaled, chain.bias)
    for stage in STAGES:
        if stage == "spike" and chain.spike:
            image = run.spike(image, chain.spike.location, chain.spike.intensity)
        elif stage == "contrast" and chain.contrast is not None:
            image = run.contrast(image, chain.contrast)
        elif stage == "smooth" and chain.smooth:
            image = run.smooth(image, chain.smooth)
        elif stage == "gibbs" and chain.gibbs is not None:
            image = run.gibbs(image, chain.gibbs)
        elif stage == "sharpen" and chain.sharpen:
            image = run.sharpen(
                image, chain.sharpen.sigma, chain.sharpen.second, chain.sharpen.alpha
            )
        elif stage == "low_resolution" and chain.low_resolution is not None:
            image = run.low_resolution(image, chain.low_resolution)
        if after is not None:
            after(stage, image)
    return image


def operations_on(device: str) -> Operations:
    """Compiled kernels for ``"cpu"``, tensors for any other device.

    Raises
    ------
    MrisslError
        If there is no such device.
    """
    if device == "cpu":
        from napari_mrissl.synthesis.compiled import CompiledOperations

        return CompiledOperations()
    from napari_mrissl.synthesis.torch_operations import TorchOperations

    return TorchOperations(device)
