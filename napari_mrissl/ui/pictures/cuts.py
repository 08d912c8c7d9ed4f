"""One pane's pictures: layers are cut again only where something moved or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.slicing import render_grid, render_labels
from napari_mrissl.ui.pictures.compose import Composer, Table, contours, image_codes
from napari_mrissl.ui.pictures.parts import ColoursPart, ImagePart, LabelsPart, Part
from napari_mrissl.ui.pictures.rasters import Raster

LabelStyle = Literal["filled", "contours", "both"]
LABEL_STYLES: tuple[LabelStyle, ...] = ("filled", "contours", "both")
CONTOUR_PIXELS = 2
"""Thickness of contours where the layer itself asks for none."""


@dataclass(eq=False)
class _ImageCut:
    """An image on a raster; another stamp means other pixels."""

    key: Any
    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    stamp: object


@dataclass(eq=False)
class _LabelsCut:
    """Labels on a raster, with contours of one thickness; another stamp means other pixels."""

    source: NDArray[Any]
    key: Any
    labels: NDArray[Any]
    thickness: int
    edge: NDArray[np.bool_]
    stamp: object


class Pictures:
    """Cuts layers on a raster and draws them, in one picture or in one for each stack.

    Attributes
    ----------
    rendered, composed
        How many cuts and how many pictures were made so far.
    """

    def __init__(self) -> None:
        self._images: dict[int, _ImageCut] = {}
        self._labels: dict[int, _LabelsCut] = {}
        self._composers: list[Composer] = []
        self._drawn: list[Any] = []
        self._codes = np.empty((0, 0, 0), np.uint16)
        self._scratch = np.empty((0, 0), np.float32)
        self.rendered = 0
        self.composed = 0

    def draw(
        self,
        raster: Raster,
        stacks: Sequence[Sequence[Part]],
        *,
        others: Sequence[Part] = (),
        interpolation: str = "linear",
        style: LabelStyle = "filled",
        thickness: int = CONTOUR_PIXELS,
    ) -> list[NDArray[np.uint8]]:
        """A picture (N, M, 4) for each stack of layers, the lowest layer first.

        What was cut of ``others`` is kept, for they take turns with these. The arrays are
        the same ones at every call with as many stacks on a raster of the same size.
        """
        shape = raster.shape
        if len(self._composers) != len(stacks) or self._scratch.shape != shape:
            self._composers = [Composer(shape) for _ in stacks]
            self._drawn = [None] * len(stacks)
            self._scratch = np.empty(shape, np.float32)
        self._forget([*others, *(part for stack in stacks for part in stack)])
        for number, stack in enumerate(stacks):
            cuts = [self._cut(part, raster, interpolation, style, thickness) for part in stack]
            # Parts are replaced when they look different, so the same ones look the same.
            wanted = (style, [(part, cut.stamp) for part, cut in zip(stack, cuts, strict=True)])
            if self._drawn[number] == wanted:
                continue
            self._reserve(len(stack), shape)
            layers = [
                self._layer(part, cut, n, style)
                for n, (part, cut) in enumerate(zip(stack, cuts, strict=True))
            ]
            self._composers[number].compose(layers)
            self._drawn[number] = wanted
            self.composed += 1
        return [composer.picture for composer in self._composers]

    def overlay(
        self, raster: Raster, parts: Sequence[LabelsPart], *, style: LabelStyle, thickness: int
    ) -> NDArray[np.uint8]:
        """Labels alone, (N, M, 4) with transparency, to lie over a picture of another's.

        The array is the same one at every call for a raster of the same size.
        """
        if len(self._composers) != 1 or self._composers[0].shape != raster.shape:
            self._composers, self._drawn = [Composer(raster.shape)], [None]
        self._forget(parts)
        cuts = [self._cut(part, raster, "nearest", style, thickness) for part in parts]
        wanted = (style, [(part, cut.stamp) for part, cut in zip(parts, cuts, strict=True)])
        if self._drawn[0] != wanted:
            layers = [
                self._labels_layer(part, cut, style, first=True, blending="translucent")
                for part, cut in zip(parts, cuts, strict=True)
            ]
            self._composers[0].overlay(layers)
            self._drawn[0] = wanted
            self.composed += 1
        return self._composers[0].picture

    def clear(self) -> None:
        """Let go of everything that was cut."""
        self.__init__()

    def _layer(
        self, part: Part, cut: Any, number: int, style: LabelStyle
    ) -> tuple[NDArray[Any], Table]:
        if isinstance(part, ImagePart):
            codes = self._codes[number]
            image_codes(cut.values[0], cut.valid[0], part.limits, codes, self._scratch)
            return codes, part.table(first=number == 0)
        if isinstance(part, ColoursPart):
            style = "filled"
        return self._labels_layer(part, cut, style, first=number == 0)

    def _labels_layer(
        self,
        part: LabelsPart,
        cut: _LabelsCut,
        style: LabelStyle,
        *,
        first: bool,
        blending: str | None = None,
    ) -> tuple[NDArray[Any], Table]:
        codes, colors = part.colors.codes(cut.labels)
        if cut.thickness:
            codes = codes + len(colors) * cut.edge
        filled = style != "contours" and part.contour == 0
        return codes, part.table(colors, first=first, filled=filled, blending=blending)

    def _cut(
        self, part: Part, raster: Raster, interpolation: str, style: LabelStyle, thickness: int
    ) -> _ImageCut | _LabelsCut:
        if isinstance(part, ImagePart):
            return self._cut_image(part, raster, interpolation)
        if isinstance(part, ColoursPart):
            return self._cut_labels(part, raster, 0)
        own = part.contour or (thickness if style != "filled" else 0)
        return self._cut_labels(part, raster, own)

    def _cut_image(self, part: ImagePart, raster: Raster, interpolation: str) -> _ImageCut:
        volume, shape = part.volume, (1, *raster.shape)
        kept = self._images.get(id(volume))
        key = (volume, raster.key, interpolation)
        if kept is not None and kept.key == key:
            return kept
        if kept is None or kept.values.shape != shape:
            kept = _ImageCut(key, np.empty(shape, np.float32), np.empty(shape, bool), object())
            self._images[id(volume)] = kept
        kept.key, kept.stamp = key, object()
        render_grid(
            volume,
            raster.affine,
            shape,
            interpolation,  # type: ignore[arg-type]
            out=kept.values,
            valid_out=kept.valid,
        )
        self.rendered += 1
        return kept

    def _cut_labels(self, part: LabelsPart, raster: Raster, thickness: int) -> _LabelsCut:
        source = part.labels
        kept = self._labels.get(id(source))
        key = (part.version, part.affine.tobytes(), raster.key)
        if kept is None or kept.source is not source or kept.key != key:
            labels = render_labels(source, part.affine, raster.affine, (1, *raster.shape))[0]
            self.rendered += 1
            if kept is not None and np.array_equal(kept.labels, labels):
                # Nothing was painted here, or nothing moved that this cut shows.
                kept.source, kept.key = source, key
            else:
                kept = _LabelsCut(source, key, labels, -1, np.empty((0, 0), bool), object())
            self._labels[id(source)] = kept
        if kept.thickness != thickness:
            kept.thickness, kept.stamp = thickness, object()
            kept.edge = contours(kept.labels, thickness)
        return kept

    def _reserve(self, count: int, shape: tuple[int, int]) -> None:
        if self._codes.shape[0] < count or self._codes.shape[1:] != shape:
            self._codes = np.empty((count, *shape), np.uint16)

    def _forget(self, parts: Sequence[Part]) -> None:
        """Drop what was cut of layers that are not drawn any more."""
        volumes = {id(part.volume) for part in parts if isinstance(part, ImagePart)}
        labels = {id(part.labels) for part in parts if isinstance(part, LabelsPart)}
        for kept, present in ((self._images, volumes), (self._labels, labels)):
            for gone in set(kept) - present:
                del kept[gone]
