"""What the data engine gives: a pair, a batch of pairs, and the stages on the way to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.synthesis.ensemble import Kind

if TYPE_CHECKING:
    import torch

VIEWS = 2


@dataclass(frozen=True, eq=False)
class Pair:
    """Two views of one label map.

    Attributes
    ----------
    views
        (2, S, S, S) float32 in [0, 1].
    labels
        (S, S, S) uint8.
    kind
        ``"plain"``, ``"masked"`` or ``"enveloped"``.
    record
        Every drawn parameter, as plain data.
    """

    views: NDArray[np.float32]
    labels: NDArray[np.uint8]
    kind: Kind
    record: dict[str, Any]

    def views_as_bytes(self) -> NDArray[np.uint8]:
        """The views times 255, rounded down: what the reference stores."""
        return (self.views * 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Batch:
    """Several pairs, stacked on the engine's device.

    Attributes
    ----------
    views
        (N, 2, S, S, S) float32 tensor in [0, 1].
    labels
        (N, S, S, S) uint8 tensor.
    kinds, indices
        Of each pair.
    """

    views: torch.Tensor
    labels: torch.Tensor
    kinds: tuple[Kind, ...]
    indices: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Stage:
    """One step on the way to a pair, for showing.

    Attributes
    ----------
    name, title
        E.g. ``"median"`` and ``"Median filter"``.
    view
        0 or 1; None for what both views share.
    array
        (S, S, S) after this step: uint8 labels, or float32 grey values.
    kind
        ``"labels"`` or ``"image"``.
    active
        False where the step was drawn not to act, so that nothing changed.
    parameters
        What was drawn for it, as plain data.
    """

    name: str
    title: str
    view: int | None
    array: NDArray[Any]
    kind: Literal["labels", "image"]
    active: bool
    parameters: dict[str, Any]


TITLES = {
    "templates": "Templates, cut out and centred",
    "copy": "Last template, random affine map",
    "ensemble": "Painted over each other",
    "median": "Median filter",
    "ball": "Ball",
    "mask": "Deformed ball",
    "foreground": "Labels inside the ball",
    "envelope": "Envelope",
    "mixture": "Grey value per label",
    "noise": "Smooth noise",
    "bias": "Bias field",
    "spike": "K-space spike",
    "contrast": "Contrast",
    "smooth": "Smoothing",
    "gibbs": "Gibbs ringing",
    "sharpen": "Sharpening",
    "low_resolution": "Low resolution",
    "final": "View",
}
"""What to call the stages, in their order."""
