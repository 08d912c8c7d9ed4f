"""What an inspector shows of the observable tasks, as plain data: mm, boxes, arrows; no torch.

Gaps are scan mm (R, A, S), see `napari_mrissl.pretext.observable.views`; what ends in
``world`` is world RAS mm, ready to be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.observable import chunks, gaps
from napari_mrissl.pretext.observable.consistency import Consistency, consistency
from napari_mrissl.pretext.observable.gaps import Channel
from napari_mrissl.pretext.observable.layout import Layout, Source, layout
from napari_mrissl.pretext.observable.routes import Routes, loops, walk
from napari_mrissl.pretext.observable.views import Views

Floats = NDArray[np.float64]

_CORNERS = np.indices((2, 2, 2)).reshape(3, 8).T


@dataclass(frozen=True, eq=False)
class ViewPair:
    """One cell of the matrix, as boxes and arrows.

    Attributes
    ----------
    i, j
        Numbers of the views.
    centers_world
        (2, 3) where the arrows start, and where the true one ends.
    corners_world
        (2, 8, 3) of both boxes, see `Views.corners_world`.
    true_world, predicted_world
        (3,) arrows from the middle of view i.
    true_mm, predicted_mm
        (3,) the same along the scan's axes (R, A, S).
    """

    i: int
    j: int
    centers_world: Floats
    corners_world: Floats
    true_world: Floats
    predicted_world: Floats
    true_mm: Floats
    predicted_mm: Floats

    @property
    def midpoint_world(self) -> Floats:
        """(3,) half-way between the views."""
        middle: Floats = self.centers_world.mean(axis=0)
        return middle

    @property
    def error_mm(self) -> float:
        """Between the ends of both arrows."""
        return float(np.linalg.norm(self.predicted_mm - self.true_mm))


@dataclass(frozen=True, eq=False)
class RouteView:
    """One route, true and as the predicted vectors lead.

    Attributes
    ----------
    order
        Views in the order in which they are visited.
    true_world, predicted_world
        (V, 3) where one stands after each step; both start in the first view.
    end_error_mm
        Between both ends.
    drift_mm
        How far the predicted vectors miss the start when the route is closed; None for the
        potential head, of which it is 0 whatever was learned.
    """

    order: tuple[int, ...]
    true_world: Floats
    predicted_world: Floats
    end_error_mm: float
    drift_mm: float | None

    def steps_world(self, count: int) -> tuple[Floats, Floats]:
        """The true and the predicted path after so many steps, 0 to V - 1, to play them."""
        return self.true_world[: count + 1], self.predicted_world[: count + 1]


@dataclass(frozen=True, eq=False)
class ChunkView:
    """Four chunks of a pair of views, and how alike the network and grey values find them.

    Attributes
    ----------
    i, j
        Numbers of the views, i < j.
    corners_world
        (4, 8, 3) boxes in the order of `chunks.CHUNKS`: two adjacent, two distant.
    similarity
        (4, 4) cosines of features, -1 to 1.
    raw
        (4, 4) correlations of grey values: what needs no network.
    separate
        Whether no two chunks of different views share a voxel, see `chunks.ChunkPlan`.
    """

    i: int
    j: int
    corners_world: Floats
    similarity: Floats
    raw: Floats
    separate: bool

    @property
    def adjacent_right(self) -> bool:
        """Whether the chunks that face each other are the most alike, of those of two views."""
        return bool(chunks.verdicts(self.similarity)[0])

    @property
    def adjacent_right_of_six(self) -> bool:
        """Whether they are also more alike than chunks of one view: the published question."""
        return bool(chunks.verdicts(self.similarity, chunks.SIX)[0])

    @property
    def distant_right(self) -> bool:
        """Whether the chunks on far sides are the least alike, of those of two views."""
        return bool(chunks.verdicts(self.similarity)[1])


@dataclass(frozen=True, eq=False)
class GapMatrix:
    """Predicted and true gaps between some views of a scan.

    Attributes
    ----------
    views
        Where they are.
    predicted_mm
        (V, V, 3) from view i to view j along (R, A, S).
    closed
        Whether they are differences of positions by construction: of the potential head, and
        of gaps without a bias. Then loops cannot drift, nor can they contradict themselves.
    """

    views: Views
    predicted_mm: Floats
    closed: bool = True

    def __len__(self) -> int:
        return len(self.predicted_mm)

    @cached_property
    def true_mm(self) -> Floats:
        """(V, V, 3) true gaps."""
        return self.views.gaps_mm

    def channel(self, name: Channel) -> tuple[Floats, Floats, Floats]:
        """True, predicted, and predicted minus true (V, V) values in mm, to draw as maps."""
        true, predicted = (gaps.channel(one, name) for one in (self.true_mm, self.predicted_mm))
        return true, predicted, predicted - true

    @cached_property
    def consistency(self) -> Consistency:
        """How far it agrees with itself and with the truth."""
        return consistency(self.predicted_mm, self.true_mm, closed=self.closed)

    def pair(self, i: int, j: int) -> ViewPair:
        """What a cell stands for.

        Raises
        ------
        MrisslError
            If there are no such views.
        """
        if not (0 <= i < len(self) and 0 <= j < len(self)):
            raise MrisslError(f"views {i} and {j}", expected=f"0 to {len(self) - 1}")
        views, both = self.views, [i, j]
        true, predicted = self.true_mm[i, j], self.predicted_mm[i, j]
        return ViewPair(
            i,
            j,
            views.centers_world[both],
            views.corners_world[both],
            views.vectors_to_world(true),
            views.vectors_to_world(predicted),
            true,
            predicted,
        )

    def layout(self, source: Source = "vectors") -> Layout:
        """Where the views are by this matrix alone, laid over where they are."""
        return layout(self.predicted_mm, self.views.centers_mm, source)

    def ghosts_world(self, found: Layout) -> Floats:
        """(V, 8, 3) boxes of the views where a layout has them."""
        views = self.views
        boxes = found.points_mm[:, None] + (_CORNERS - 0.5) * views.edges_mm
        return views.to_world(boxes)

    def walks(self, order: Routes) -> tuple[RouteView, ...]:
        """Routes (R, V) over these views, true and predicted."""
        views = self.views
        starts = views.centers_mm[order[:, 0]]
        paths = []
        for matrix in (self.true_mm, self.predicted_mm):
            steps = walk(matrix, order).cumsum(axis=1)
            paths.append(np.concatenate([starts[:, None], starts[:, None] + steps], axis=1))
        errors = np.linalg.norm(paths[1][:, -1] - paths[0][:, -1], axis=1)
        drifts = np.linalg.norm(loops(self.predicted_mm, order), axis=1)
        return tuple(
            RouteView(
                tuple(int(view) for view in route),
                views.to_world(true),
                views.to_world(predicted),
                float(error),
                None if self.closed else float(drift),
            )
            for route, true, predicted, error, drift in zip(
                order, *paths, errors, drifts, strict=True
            )
        )


def chunk_corners_world(views: Views, plan: chunks.ChunkPlan) -> Floats:
    """(P, 4, 8, 3) boxes of chunks in world RAS mm, see `Views.corners_world`."""
    voxel = views.edges_mm[::-1] / views.voxels
    # Voxel k of a view begins k voxels from its lower face; axes (S, A, R), then turned round.
    lower = views.centers_mm[plan.of_view][..., ::-1] - views.edges_mm[::-1] / 2
    lower = (lower + plan.starts * voxel)[..., ::-1]
    edges = (np.array(plan.size) * voxel)[::-1]
    return views.to_world(lower[..., None, :] + _CORNERS * edges)
