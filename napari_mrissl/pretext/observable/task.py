"""The observable tasks as a pretext task (arXiv:2509.05967)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.pretext.observable import chunks, losses, sampling
from napari_mrissl.pretext.observable.gaps import gap_matrix, norms, off_diagonal
from napari_mrissl.pretext.observable.network import ObservableNetwork, similarities
from napari_mrissl.pretext.observable.routes import Routes, ends, routes
from napari_mrissl.pretext.observable.settings import INFO, ObservableSettings
from napari_mrissl.pretext.observable.views import Views, cut
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import Collective, LossTerm, Sample, SampleKey, Shown, Task
from napari_mrissl.synthesis.draws import generator

_CHANCE_DRAWS = 1024
_SHOWN = 4
_CELL = 16


class Observable(Task[ObservableSettings]):
    """Gaps between views, with or without chunks, vectors and routes.

    Targets are the views' positions, and where their chunks are, which follows from them: a
    run on shuffled ones is told of the gaps of another sample, and compares chunks along them.
    """

    info = INFO
    targets = ("positions", "starts", "kept")

    def __init__(self, settings: ObservableSettings) -> None:
        super().__init__(settings)
        self.bodies = sampling.Bodies()

    @property
    def routes(self) -> Routes:
        """Those that are walked in training."""
        return routes(self.settings.views)

    def network(self) -> ObservableNetwork:
        """A new network with the heads that are trained."""
        return ObservableNetwork(self.settings)

    def draw(self, rng: np.random.Generator, scan: Scan, count: int | None = None) -> Views:
        """Draw views of a scan; as many as in training by default."""
        chosen = self.settings
        views = chosen.views if count is None else count
        return sampling.draw(rng, scan, chosen.view, views, chosen.scale_mm, self.bodies)

    def row(self, scan: Scan, count: int, axis: int = 2) -> Views:
        """Equidistant views along an axis (0 R, 1 A, 2 S), from end to end of a scan."""
        chosen = self.settings
        return sampling.row(scan, chosen.view, count, chosen.scale_mm, self.bodies, axis)

    def plan(self, views: Views) -> chunks.ChunkPlan:
        """Where the chunks of these views are."""
        return chunks.plan(views.gaps_voxels, views.voxels, self.settings.chunk_voxels)

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """Views of one scan, each with its own look, their positions and their chunks."""
        rng = key.generator("views")
        scan = subjects.scan(int(rng.integers(len(subjects))))
        views = self.draw(rng, scan)
        plan = self.plan(views)
        jitter = self.settings.view.jitter
        image = sampling.recoloured(key.generator("appearance"), cut(scan, views), jitter)
        arrays: dict[str, NDArray[Any]] = {
            "image": image,
            "positions": views.positions.astype(np.float32),
            "starts": plan.starts,
            "kept": plan.kept,
        }
        return Sample(arrays, scan.subject, {"views": views.plain()})

    def prepare(
        self, batch: dict[str, torch.Tensor], keys: Sequence[SampleKey]
    ) -> dict[str, torch.Tensor]:
        """Add the number of the step, by which the copy of the network follows it."""
        batch["step"] = torch.tensor(keys[0].step)
        return batch

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``axis`` and ``norm``, and of what else is trained ``adjacent``, ``distant``,
        ``vector``, ``route``, of the edge head ``loop`` and ``antisymmetry``.

        ``gap_mm``, ``vector_mm`` and ``chunk_error`` are only shown.
        """
        settings, weights = self.settings, self.settings.weights
        starts = batch["starts"] if settings.chunks else None
        found = network(batch["image"], starts, int(batch["step"]))
        true = gap_matrix(batch["positions"])
        terms = losses.gap_terms(found["gaps"], true, weights)
        if settings.chunks:
            alike = similarities(found["chunks"], pool=settings.pool)
            terms |= losses.chunk_terms(alike, batch["kept"], weights)
        if settings.vectors:
            terms |= losses.vector_terms(found["vectors"], true, weights)
        if settings.routes:
            edge = settings.vector_head == "edge"
            vectors = found["vectors"]
            terms |= losses.route_terms(vectors, true, self.routes, weights, edge=edge)
        terms["gap_mm"] = losses.gap_error(found["gaps"], true, settings.scale_mm)
        if settings.vectors:
            terms["vector_mm"] = losses.gap_error(found["vectors"], true, settings.scale_mm)
        return terms

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """Of the best constants on views of 1,024 draws, whose images are not cut.

        Those that know nothing of a view say that no two are apart, or for ``norm`` that all
        are by the mean length; of four pairs of chunks they guess one. Features that have
        nothing to do with each other have a cosine of 0: ``adjacent`` and ``distant`` are then
        1 each, and their sum is 2 for features that are the same everywhere too.
        """
        rng = generator(seed, 0, "chance of gaps")
        positions = np.stack(
            [
                self.draw(rng, subjects.scan(int(rng.integers(len(subjects))))).positions
                for _ in range(_CHANCE_DRAWS)
            ]
        )
        true = gap_matrix(positions)
        lengths = norms(true)
        apart = off_diagonal(true.shape[1])
        settings = self.settings
        spread = np.where(apart, lengths - lengths[:, apart].mean(), 0.0)
        error_mm = float(np.abs(true[:, apart]).mean()) * settings.scale_mm
        found = {
            "axis": float((true**2).mean()),
            "norm": float((spread**2).mean()),
            "gap_mm": error_mm,
        }
        if settings.chunks:
            found |= {"adjacent": 1.0, "distant": 1.0, "chunk_error": 1 - chunks.CHANCE}
        if settings.vectors:
            found |= {"vector": _smooth(true), "vector_mm": error_mm}
        if settings.routes:
            found["route"] = _smooth(ends(true, self.routes))
        return found

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """Matrices of lengths of gaps, true and predicted, of a few samples."""
        image = batch["image"][:_SHOWN]
        with torch.no_grad():
            gaps = network(image)["gaps"]
        predicted = norms(gaps.double().cpu().numpy())
        true = norms(gap_matrix(batch["positions"][:_SHOWN].double().cpu().numpy()))
        largest = max(float(true.max()), 1e-6)
        scale = self.settings.scale_mm
        tiles, captions = [], []
        for name, maps in (("true", true), ("predicted", predicted)):
            for one in maps:
                tile = np.kron(one / largest, np.ones((_CELL, _CELL)))
                tiles.append(tile.clip(0, 1).astype(np.float32))
                captions.append(f"{name}, up to {one.max() * scale:.0f} mm")
        return [Shown("gap matrix", np.stack(tiles), tuple(captions))]


def _smooth(values: NDArray[np.float64]) -> float:
    size = np.abs(values)
    return float(np.where(size < 1, size**2 / 2, size - 0.5).mean())
