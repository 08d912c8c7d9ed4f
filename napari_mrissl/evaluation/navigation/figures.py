"""The figures of a report on slice navigation: flights, drift, tokens as colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_mrissl.evaluation import drawing
from napari_mrissl.geometry import LETTERS, Pose, letters

if TYPE_CHECKING:
    from napari_mrissl.evaluation.navigation.inspection import Stack, Strip

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
        titles = [title(name, frame) for frame in frames]
        tiles = [_tile(images[frame], flight.poses[frame]) for frame in frames]
        pictures.append(drawing.row(tiles, titles))
    return drawing.column(pictures)


def title(name: str, frame: int) -> str:
    """Of a frame in a row of a flight; the first one is imagined in no row."""
    if frame:
        return f"{name}, step {frame}"
    return "start: true" if name == "true" else "start: restored"


def drift(steps: NDArray[np.integer], curves: Mapping[str, NDArray[np.float64]]) -> Image.Image:
    """Latent errors by steps from the last true slice; what errs far more than copying leaves it."""
    colours = dict(zip(curves, drawing.LINE_COLORS, strict=False))
    named = {name: (values, colours[name]) for name, values in curves.items()}
    top = 1.05 * max(float(values.max()) for values in curves.values())
    if "copied" in curves:
        top = min(top, 1.5 * float(curves["copied"].max()))
    return drawing.plot(
        steps.astype(np.float64), named, "latent error", (0.0, top), (460, 240), unit="steps"
    )


def tokens(stack: Stack) -> Image.Image:
    """Slices of a stack, and below each its tokens in the colours of three components."""
    titles = [place(pose) for pose in stack.poses]
    grey = [_tile(one, pose) for one, pose in zip(stack.slices, stack.poses, strict=True)]
    shown = [_coloured(one) for one in stack.colours]
    return drawing.column([drawing.row(grey, titles), drawing.row(shown, ["tokens"] * len(shown))])


def place(pose: Pose) -> str:
    """Where the centre of a slice lies along the world axis next to its normal: ``S 12.5 mm``."""
    axis = int(np.abs(pose.normal).argmax())
    along = float(pose.center[axis])
    return f"{LETTERS[axis][int(along >= 0)]} {abs(along):.1f} mm"


def sides(pose: Pose) -> tuple[str, str, str, str]:
    """Letters at the top, bottom, left and right of a slice."""
    return letters(pose.up), letters(-pose.up), letters(-pose.right), letters(pose.right)


def _tile(image: NDArray[np.float32], pose: Pose) -> Image.Image:
    return drawing.with_sides(drawing.grey(image, (_SIDE, _SIDE)), sides(pose))


def _coloured(one: NDArray[np.float32]) -> Image.Image:
    filled = np.zeros((*one.shape[:2], 3), np.float32)
    filled[..., : one.shape[-1]] = one
    picture = Image.fromarray(np.rint(255 * filled).astype(np.uint8))
    return picture.resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
