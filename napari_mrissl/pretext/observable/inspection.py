"""A pretrained network of the observable tasks at work on a scan, for inspector and command."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.observable import sampling
from napari_mrissl.pretext.observable.chunks import ChunkPlan
from napari_mrissl.pretext.observable.network import ObservableNetwork, similarities
from napari_mrissl.pretext.observable.observations import (
    ChunkView,
    GapMatrix,
    RouteView,
    chunk_corners_world,
)
from napari_mrissl.pretext.observable.routes import routes
from napari_mrissl.pretext.observable.settings import INFO, ObservableSettings
from napari_mrissl.pretext.observable.task import Observable
from napari_mrissl.pretext.observable.views import Views, cut, views_at
from napari_mrissl.pretext.opening import opened
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.synthesis.draws import generator

Head = Literal["gaps", "vectors"]
Progress = Callable[[float], object]
"""Is told the share that is done; what it raises ends the work."""

_AT_ONCE, _LARGE_AT_ONCE = 16, 2
_LARGE_SIDE = 48
_KEPT = 8


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """What the network makes of views, each by itself: all answers follow from it at once.

    Attributes
    ----------
    views
        Where they are.
    gap
        (V, C) summaries for gaps.
    vector
        (V, C) summaries for vectors, where they were learned.
    dense
        (V, C, Z, Y, X) maps, where they were asked for.
    """

    views: Views
    gap: torch.Tensor
    vector: torch.Tensor | None
    dense: torch.Tensor | None


class Inspector:
    """A network with its settings, which answers for any views of any scan.

    Parameters
    ----------
    settings
        Of the task.
    network
        Trained; it is put into evaluation mode.
    card
        Of its weights; ``preprocessing`` says how values become [0, 1].
    """

    def __init__(
        self,
        settings: ObservableSettings,
        network: ObservableNetwork,
        card: dict[str, Any] | None = None,
    ) -> None:
        self.settings = settings
        self.card = card or {}
        self.task = Observable(settings)
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._kept: OrderedDict[tuple[Any, ...], ViewFeatures] = OrderedDict()

    @classmethod
    def open(cls, source: str | Path, device: str = "cpu") -> Inspector:
        """The network of a run, or of a file of weights.

        Raises
        ------
        MrisslError
            If there are no weights yet, or they are of another method.
        """
        settings, network, card = opened(
            source, INFO, ObservableSettings, ObservableNetwork, device
        )
        return cls(settings, network, card)

    def untrained(self, seed: int = 0, number: int = 0) -> Inspector:
        """The same network with weights drawn anew: what its layout alone is worth.

        One draw says little, see `ablation.UNTRAINED_DRAWS`; others have another number.
        """
        network = untrained_network(self.settings, seed, number).to(self._device)
        return Inspector(self.settings, network, {"preprocessing": self.card.get("preprocessing")})

    def draw(self, scan: Scan, count: int, seed: int = 0, number: int = 0) -> Views:
        """Random views, drawn as in training; more of them than in training if wanted.

        Sets of one seed have different numbers; those of other seeds are others.
        """
        return self.task.draw(generator(seed, number, "inspected views"), scan, count)

    def row(self, scan: Scan, count: int = 64, axis: int = 2) -> Views:
        """Equidistant views along an axis (0 R, 1 A, 2 S): for the slice-by-slice matrix.

        Raises
        ------
        MrisslError
            If slabs, which are axial, are asked for along another axis.
        """
        if axis != 2 and self.settings.view.kind == "slab":
            raise MrisslError("slabs along another axis", expected="S: they are axial")
        return self.task.row(scan, count, axis)

    def at(self, scan: Scan, centers_mm: ArrayLike) -> Views:
        """Views about points (V, 3) in scan mm, see `napari_mrissl.pretext.observable.views`."""
        chosen = self.settings
        edges = sampling.edges_of(scan, chosen.view)
        return views_at(scan, centers_mm, edges, chosen.view.voxels, chosen.scale_mm)

    def features(
        self,
        scan: Scan,
        views: Views,
        *,
        dense: bool = False,
        lagging: bool = False,
        progress: Progress | None = None,
    ) -> ViewFeatures:
        """Look at views; those of the last few calls are kept, and are not looked at again.

        Maps are kept of one call alone, the last that asked for them: those of 12 views of 64
        voxels and 32 channels take 0.4 GB.

        Parameters
        ----------
        scan, views
            Whose views.
        dense
            Keep the maps too, which chunks are cut from.
        lagging
            Let the slowly following copy look at all views but the first, as in training: a
            cross in the map of errors while it lags behind. The same without such a copy.
        progress
            Is told the share that is done; what it raises ends the work.

        Raises
        ------
        MrisslError
            If the views are of another scan.
        """
        key = (views.identity, views.centers_mm.tobytes(), lagging)
        known = self._kept.get(key)
        if known is not None and (known.dense is not None or not dense):
            self._kept.move_to_end(key)
            return known
        network = self._network
        gap, vector, maps = [], [], []
        many = _LARGE_AT_ONCE if self.settings.view.side >= _LARGE_SIDE else _AT_ONCE
        for numbers in self._parts(len(views), many, lagging=lagging):
            if progress is not None:
                progress(numbers[0] / len(views))
            part = views_at(
                scan, views.centers_mm[numbers], views.edges_mm, views.voxels, views.scale_mm
            )
            images = torch.from_numpy(cut(scan, part))[None].to(self._device)
            with torch.no_grad():
                if lagging and numbers[0] > 0 and network.teacher is not None:
                    found = network.teacher(images[0][:, None])[-1]
                else:
                    found = network.dense(images)[0]
                gap.append(network.gap_head.trunk(found))
                if network.vector_head is not None:
                    vector.append(network.vector_head.trunk(found))
            if dense:
                maps.append(found)
        if progress is not None:
            progress(1.0)
        features = ViewFeatures(
            views,
            torch.cat(gap),
            torch.cat(vector) if vector else None,
            torch.cat(maps) if dense else None,
        )
        if dense:
            for other, kept in self._kept.items():
                self._kept[other] = replace(kept, dense=None)
        self._kept[key] = features
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return features

    @torch.no_grad()
    def matrix(self, features: ViewFeatures, head: Head = "gaps") -> GapMatrix:
        """Predicted gaps of all pairs of views, in mm: of the gap head, or the vector head.

        Raises
        ------
        MrisslError
            If vectors were not learned.
        """
        network, settings = self._network, self.settings
        if head == "gaps":
            answer, closed = network.gap_head(features.gap[None]), not settings.bias
        elif network.vector_head is None or features.vector is None:
            raise MrisslError("this run predicts no vectors", where=INFO.title)
        else:
            answer = network.vector_head(features.vector[None])
            closed = settings.vector_head == "potential"
        gaps = answer[0].double().cpu().numpy() * settings.scale_mm
        return GapMatrix(features.views, gaps, closed)

    def routes(self, features: ViewFeatures, seed: int = 0) -> tuple[RouteView, ...]:
        """All routes over up to five views, or some over more, by the predicted vectors."""
        return self.matrix(features, "vectors").walks(routes(len(features.views), seed))

    @torch.no_grad()
    def chunks(
        self, scan: Scan, features: ViewFeatures, progress: Progress | None = None
    ) -> tuple[ChunkView, ...]:
        """The chunks of all pairs of views that are far enough apart.

        Parameters
        ----------
        scan
            Whose views.
        features
            With ``dense``.
        progress
            Is told the share that is done; what it raises ends the work.

        Raises
        ------
        MrisslError
            If chunks were not learned, or there are no dense maps.
        """
        encoder = self._network.chunk_encoder
        if encoder is None:
            raise MrisslError("this run compares no chunks", where=INFO.title)
        if features.dense is None:
            raise MrisslError("features without maps", expected="features(..., dense=True)")
        plan = self.task.plan(features.views)
        corners = chunk_corners_world(features.views, plan)
        raw = self.raw(scan, features.views)
        found = []
        for number, (grey, separate) in zip(np.flatnonzero(plan.kept), raw, strict=True):
            if progress is not None:
                progress(int(number) / len(plan.kept))
            maps = []
            for view, start in zip(plan.of_view[number], plan.starts[number], strict=True):
                z, y, x = _slices(start, plan.size)
                maps.append(features.dense[int(view), :, z, y, x])
            alike = similarities(encoder(torch.stack(maps)), pool=self.settings.pool)
            found.append(
                ChunkView(
                    int(plan.pairs[number, 0]),
                    int(plan.pairs[number, 1]),
                    corners[number],
                    alike.double().cpu().numpy(),
                    grey,
                    separate,
                )
            )
        if progress is not None:
            progress(1.0)
        return tuple(found)

    def raw(self, scan: Scan, views: Views) -> list[tuple[NDArray[np.float64], bool]]:
        """Of each pair that `chunks` compares, (4, 4) correlations of the chunks' grey values, and
        whether chunks of different views share no voxel.
        """
        plan, images = self.task.plan(views), cut(scan, views)
        return [
            (correlations(_of_chunks(images, plan, int(number))), bool(plan.separate[number]))
            for number in np.flatnonzero(plan.kept)
        ]

    @staticmethod
    def _parts(count: int, many: int, *, lagging: bool) -> list[list[int]]:
        """Numbers of views that are looked at together; the first alone, where others lag."""
        starts = [0, *range(1, count, many)] if lagging else list(range(0, count, many))
        ends = [*starts[1:], count]
        return [list(range(a, b)) for a, b in zip(starts, ends, strict=True)]


def untrained_network(
    settings: ObservableSettings, seed: int = 0, number: int = 0
) -> ObservableNetwork:
    """A network before its first step; draws depend on seed and number together."""
    drawn = int(generator(seed, number, "untrained network").integers(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(drawn)
        return ObservableNetwork(settings)


def correlations(images: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """(N, N) of the grey values of images of one shape; 0 where an image is constant."""
    rows = np.stack([image.ravel() for image in images]).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, size, out=np.zeros_like(rows), where=size > 1e-9)
    alike: NDArray[np.float64] = rows @ rows.T
    return alike


def _of_chunks(
    images: NDArray[np.float32], plan: ChunkPlan, number: int
) -> list[NDArray[np.float32]]:
    """What the four chunks of a pair of views show."""
    places = zip(plan.of_view[number], plan.starts[number], strict=True)
    return [images[int(view)][_slices(start, plan.size)] for view, start in places]


def _slices(start: NDArray[np.int64], size: tuple[int, int, int]) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(a) + n) for a, n in zip(start, size, strict=True))
