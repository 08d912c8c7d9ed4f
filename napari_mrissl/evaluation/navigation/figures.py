"""The figures of a report on slice navigation: flights, drift, tokens as colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_mrissl.evaluation import drawing

if TYPE_CHECKING:
    from napari_mrissl.evaluation.navigation.inspection import Strip

_SIDE = 112
_FRAMES = (0, 1, 2, 4, 8)


def strip(flight: Strip) -> Image.Image:
    """Some frames of a flight: true, restored by the tokenizer, imagined by the dynamics."""
    rows = {"true": flight.true, "restored": flight.restored}
    if flight.imagined is not None:
        rows["imagined"] = flight.imagined
    frames = [frame for frame in _FRAMES if frame < len(flight.true)]
    pictures = []
    for name, images in rows.items():
        titles = [f"{name}, {'start' if frame == 0 else f'step {frame}'}" for frame in frames]
        tiles = [drawing.grey(images[frame], (_SIDE, _SIDE)) for frame in frames]
        pictures.append(drawing.row(tiles, titles))
    return drawing.column(pictures)


def drift(steps: NDArray[np.integer], curves: Mapping[str, NDArray[np.float64]]) -> Image.Image:
    """Latent errors by steps from the last true slice."""
    colours = dict(zip(curves, drawing.LINE_COLORS, strict=False))
    named = {name: (values, colours[name]) for name, values in curves.items()}
    top = 1.05 * max(float(values.max()) for values in curves.values())
    return drawing.plot(
        steps.astype(np.float64), named, "latent error", (0.0, top), (460, 240), unit="steps"
    )


def tokens(slices: NDArray[np.float32], colours: NDArray[np.float32]) -> Image.Image:
    """Slices of a stack, and below each its tokens in the colours of three components."""
    titles = [f"slice {number + 1}" for number in range(len(slices))]
    grey = [drawing.grey(one, (_SIDE, _SIDE)) for one in slices]
    shown = [_coloured(one) for one in colours]
    return drawing.column([drawing.row(grey, titles), drawing.row(shown, ["tokens"] * len(shown))])


def _coloured(one: NDArray[np.float32]) -> Image.Image:
    filled = np.zeros((*one.shape[:2], 3), np.float32)
    filled[..., : one.shape[-1]] = one
    picture = Image.fromarray(np.rint(255 * filled).astype(np.uint8))
    return picture.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
