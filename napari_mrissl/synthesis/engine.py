"""The live data engine: a pair of views and their labels for any index, from a seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.ensemble import Kind, Placement, draw_ensemble, mask_nodes, place
from napari_mrissl.synthesis.operations import Array, Operations
from napari_mrissl.synthesis.pairs import TITLES, VIEWS, Batch, Pair, Stage
from napari_mrissl.synthesis.settings import EngineSettings
from napari_mrissl.synthesis.templates import Templates
from napari_mrissl.synthesis.views import Keep, operations_on, painted

_BYTES_PER_VOXEL = {True: 24, False: 96}
"""At the peak, on the CPU and elsewhere: views, a spectrum and its copy; 64-bit coordinates."""


class Engine:
    """Makes pairs on the fly; the same for the same seed and index, in any order.

    Parameters
    ----------
    templates
        The pool of shapes.
    settings
        Faithful defaults when left out.
    seed
        Any whole number.
    device
        ``"cpu"`` runs compiled kernels; anything else is a torch device such as
        ``"cuda"``. Both make the same pair, grey values to about 1e-5.
    operations
        What computes the stages, in place of those for the device.
    """

    def __init__(
        self,
        templates: Templates,
        settings: EngineSettings | None = None,
        seed: int = 0,
        device: str = "cpu",
        *,
        operations: Operations | None = None,
    ) -> None:
        self.templates = templates
        self.settings = settings or EngineSettings()
        self.seed = seed
        self.device = device
        self._operations = operations or operations_on(device)
        self._operations.use(templates)

    @property
    def side(self) -> int:
        """Voxels along each side of a volume."""
        return self.settings.ensemble.side

    def memory_estimate(self) -> int:
        """Bytes that a pair takes at most while it is made, the pool of shapes included.

        On the CPU 24 bytes a voxel (50 MB at a side of 128), on other devices 96.
        """
        return self.templates.nbytes + _BYTES_PER_VOXEL[self.device == "cpu"] * self.side**3

    def pair(self, index: int) -> Pair:
        """The pair of this index, as arrays.

        Raises
        ------
        MrisslError
            If the index is negative.
        """
        views, labels, kind, record = self._make(index, None)
        to_numpy = self._operations.to_numpy
        stacked = np.stack([to_numpy(view) for view in views])
        return Pair(stacked, to_numpy(labels), kind, record)

    def labels(self, index: int) -> NDArray[np.uint8]:
        """The labels of `pair` alone, (S, S, S).

        Raises
        ------
        MrisslError
            If the index is negative.
        """
        labels, _, _ = self._labels(checked(index), None)
        found: NDArray[np.uint8] = self._operations.to_numpy(labels)
        return found

    def batch(self, indices: Iterable[int]) -> Batch:
        """The pairs of these indices, stacked in this order, as tensors on the device."""
        import torch

        chosen = tuple(int(index) for index in indices)
        if not chosen:
            raise MrisslError("no index", where="batch", expected="at least one")
        shape = (self.side,) * 3
        views = torch.empty((len(chosen), VIEWS, *shape), device=self.device)
        labels = torch.empty((len(chosen), *shape), dtype=torch.uint8, device=self.device)
        kinds = []
        for place_in_batch, index in enumerate(chosen):
            made, drawn, kind, _ = self._make(index, None)
            for view, image in enumerate(made):
                views[place_in_batch, view] = torch.as_tensor(image)
            labels[place_in_batch] = torch.as_tensor(drawn)
            kinds.append(kind)
        return Batch(views, labels, tuple(kinds), chosen)

    def stages(self, index: int) -> list[Stage]:
        """Every step on the way to the pair of this index, in order; see `TITLES`.

        The last step of each view is the view of `pair`, to the last bit.
        """
        kept: list[Stage] = []

        def keep(
            name: str, view: int | None, array: Array, active: bool, parameters: dict[str, Any]
        ) -> None:
            values = self._operations.to_numpy(self._operations.copy(array))
            kind: Literal["labels", "image"] = "labels" if values.dtype == np.uint8 else "image"
            kept.append(Stage(name, TITLES[name], view, values, kind, active, parameters))

        self._make(index, keep)
        return kept

    def _make(
        self, index: int, keep: Keep | None
    ) -> tuple[list[Array], Array, Kind, dict[str, Any]]:
        labels, kind, ensemble = self._labels(checked(index), keep)
        run = self._operations
        low, high = run.range_of_labels(labels)
        record: dict[str, Any] = {
            "seed": self.seed,
            "index": index,
            "templates": self.templates.identity,
            "ensemble": ensemble,
            "views": [],
        }
        views = []
        for view in range(VIEWS):
            look = self.settings.appearance, self.settings.augmentation
            image, drawn = painted(run, labels, (low, high), (self.seed, index, view), look, keep)
            views.append(image)
            record["views"].append(drawn)
        return views, labels, kind, record

    def _labels(self, index: int, keep: Keep | None) -> tuple[Array, Kind, dict[str, Any]]:
        run, settings, side = self._operations, self.settings.ensemble, self.side
        draw = draw_ensemble(self.seed, index, settings, len(self.templates))
        record = draw.record()
        if keep:
            self._keep_templates(draw.placements, keep)
        labels = run.paint(place(draw.placements, self.templates, side), side)
        if keep:
            keep("ensemble", None, labels, True, {"templates": len(draw.placements)})
        labels = run.median(labels, settings.median)
        if keep:
            width = settings.median
            keep("median", None, labels, width > 1, {"voxels": width})
        nodes, ball = mask_nodes(settings), draw.mask
        if ball is None:
            if keep:
                for name in ("foreground", "envelope"):
                    keep(name, None, labels, False, {})
            return labels, draw.kind, record
        mask = run.ball(nodes, ball.coarse, ball.centre, ball.radius, side)
        mask = run.median(mask, settings.median)
        if keep:
            shape = {"centre": ball.centre, "radius": ball.radius}
            still = run.ball(nodes, 0 * ball.coarse, ball.centre, ball.radius, side)
            keep("ball", None, still, True, shape)
            keep("mask", None, mask, True, {"stds": ball.stds})
        labels = run.merge(labels, mask)
        if keep:
            keep("foreground", None, labels, True, {})
        if draw.envelope is not None:
            labels = run.envelope(labels, mask, draw.envelope)
        if keep:
            keep("envelope", None, labels, draw.envelope is not None, {"width": draw.envelope})
        return labels, draw.kind, record

    def _keep_templates(self, placements: Any, keep: Keep) -> None:
        """Show the shapes as they are, and where the last one went."""
        run, side = self._operations, self.side
        plain = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        still = tuple(Placement(p.template, plain, (0.0, 0.0, 0.0)) for p in placements)
        numbers = {"templates": [p.template for p in placements]}
        keep("templates", None, run.paint(place(still, self.templates, side), side), True, numbers)
        last = placements[-1]
        alone = run.paint(place((last, last), self.templates, side), side)
        keep("copy", None, alone, True, vars(last))


def checked(index: int) -> int:
    """An index that pairs can have.

    Raises
    ------
    MrisslError
        If it is negative.
    """
    if index < 0:
        raise MrisslError(f"index {index}", expected="a whole number >= 0")
    return index
