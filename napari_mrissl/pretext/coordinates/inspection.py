"""A network of body coordinates at work on a scan, for inspector and command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks.coordinate_network import CoordinateNetwork, at_places
from napari_mrissl.pretext import crops
from napari_mrissl.pretext.coordinates.body_axes import BodyAxes, fitted
from napari_mrissl.pretext.coordinates.settings import INFO, CoordinateSettings
from napari_mrissl.pretext.observable.consistency import spearman
from napari_mrissl.pretext.observable.sampling import Bodies, recoloured
from napari_mrissl.pretext.observable.views import extent_mm
from napari_mrissl.pretext.opening import opened
from napari_mrissl.pretext.subjects import Scan

Floats = NDArray[np.float64]
Progress = Callable[[float], object]
"""Is told the share that is done; what it raises ends the work."""

_AT_ONCE = 8
_NEAR_MM = 8.0
_AXES = ("right", "anterior", "superior")


@dataclass(frozen=True, eq=False)
class Located:
    """Coordinates of points of a scan.

    Attributes
    ----------
    points_mm
        (N, 3) in scan mm (R, A, S), in the body.
    coordinates
        (N, 3) what the network says of them.
    """

    points_mm: Floats
    coordinates: Floats


class Inspector:
    """A network with its settings, which says where points of any scan are.

    Parameters
    ----------
    settings
        Of the task.
    network
        Trained; it is put into evaluation mode.
    card
        Of its weights: ``preprocessing``, and ``body_axes`` where they were found.
    """

    def __init__(
        self, settings: CoordinateSettings, network: CoordinateNetwork, card: dict[str, Any]
    ) -> None:
        self.settings = settings
        self.network = network.eval()
        self.card = card
        axes = card.get("body_axes")
        self.axes = None if axes is None else BodyAxes.from_plain(axes)
        self._bodies = Bodies()

    @classmethod
    def open(cls, source: str | Path, device: str = "cpu") -> Inspector:
        """The network of a run's folder, or of a file of weights.

        Raises
        ------
        MrisslError
            If there are no weights yet, or they are of another method.
        """
        found = opened(
            source, INFO, CoordinateSettings, lambda s: CoordinateNetwork(s.backbone), device
        )
        return cls(*found)

    def untrained(self, seed: int = 0) -> Inspector:
        """The same network with weights as they are drawn: what its shape alone tells."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = CoordinateNetwork(self.settings.backbone)
        return Inspector(self.settings, network.to(self._like), {**self.card, "body_axes": None})

    @property
    def _like(self) -> torch.Tensor:
        return next(self.network.parameters())

    def body_points(self, scan: Scan, count: int, seed: int) -> Floats:
        """(count, 3) points of the body, drawn evenly, in scan mm.

        Raises
        ------
        MrisslError
            If the scan has no body.
        """
        rng = np.random.default_rng(seed)
        extent = extent_mm(scan.volume)
        candidates = (rng.random((20 * count, 3)) - 0.5) * extent
        shares = self._bodies.of(scan).share(candidates, np.full(3, _NEAR_MM))
        inside = candidates[shares >= 0.5][:count]
        if len(inside) < 2:
            raise MrisslError("has no body to be told from air", where=scan.volume.name)
        found: Floats = inside
        return found

    def locate(
        self,
        scan: Scan,
        points_mm: ArrayLike,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Located:
        """Coordinates of points: means over crops that overlap by half, nearer middles count more.

        Parameters
        ----------
        scan
            Where.
        points_mm
            (N, 3) in scan mm (R, A, S).
        seed
            Of another look for each crop; None leaves grey values as they are.
        progress
            Is told the share that is done.
        """
        points = np.asarray(points_mm, np.float64)
        side = self.settings.crop.side
        extent = extent_mm(scan.volume)
        edges = np.minimum(side * float(np.mean(self.settings.crop.spacing)), extent)
        centers = _grid(extent, edges)
        sums, weights = np.zeros_like(points), np.zeros(len(points))
        rng = None if seed is None else np.random.default_rng(seed)
        for first in range(0, len(centers), _AT_ONCE):
            some = centers[first : first + _AT_ONCE]
            images = self._cut(scan, some, edges)
            if rng is not None:
                images = recoloured(rng, images, 1.0)
            with torch.no_grad():
                cells = self.network.cells(torch.from_numpy(images).to(self._like))
            for center, one in zip(some, cells, strict=True):
                away = np.abs(points - center) / (edges / 2)
                inside = np.flatnonzero((away <= 1).all(axis=1))
                near = np.prod(1.02 - away[inside], axis=1)
                places = ((points[inside] - center) / edges + 0.5) * side - 0.5
                at = torch.from_numpy(places[:, ::-1].copy()).to(self._like)
                said = at_places(one[None], at[None])[0] * self.network.coordinates.scale
                sums[inside] += near[:, None] * said.detach().double().cpu().numpy()
                weights[inside] += near
            if progress is not None:
                progress(min(1.0, (first + _AT_ONCE) / len(centers)))
        return Located(points, sums / weights[:, None])

    def _cut(self, scan: Scan, centers: Floats, edges: Floats) -> NDArray[np.float32]:
        images = np.empty((len(centers), *(self.settings.crop.side,) * 3), np.float32)
        middle = (np.array(scan.volume.shape) - 1) / 2
        half = edges[::-1] / scan.volume.spacing / 2
        for image, center in zip(images, centers[:, ::-1] / scan.volume.spacing, strict=True):
            at = center + middle
            crops.cut_box(scan, tuple(at - half), tuple(at + half), image)
        return images

    def measure(self, located: Located) -> dict[str, float]:
        """How coordinates rise along each axis of the body, and errors in mm.

        Rank correlations of a coordinate and the place along its axis, after the axes of the
        card, or such as fit this very scan where it has none; errors are without a shift.
        """
        axes = self.axes or fitted([(located.coordinates, located.points_mm)])
        said = axes.to_mm(located.coordinates)
        true = located.points_mm
        found = {
            f"spearman_{name}": spearman(said[:, axis], true[:, axis])
            for axis, name in enumerate(_AXES)
        }
        apart = (said - said.mean(axis=0)) - (true - true.mean(axis=0))
        return {**found, "error_mm": float(np.linalg.norm(apart, axis=1).mean())}


def chance(located: Located) -> dict[str, float]:
    """What `Inspector.measure` is worth for coordinates that tell nothing of places.

    Ranks that have nothing to do with each other have a correlation of 0; the best constant
    answer is the middle of the points.
    """
    away = np.linalg.norm(located.points_mm - located.points_mm.mean(axis=0), axis=1)
    return {**{f"spearman_{name}": 0.0 for name in _AXES}, "error_mm": float(away.mean())}


def matched(
    asked: ArrayLike, true_mm: ArrayLike, among: ArrayLike, places_mm: ArrayLike
) -> tuple[float, float]:
    """How far from the truth the points lie that have the same coordinates in another scan.

    Parameters
    ----------
    asked
        (N, 3) coordinates of points in a scan.
    true_mm
        (N, 3) where these points are in the other one.
    among, places_mm
        (M, 3) coordinates and places of points in the other one.

    Returns
    -------
    tuple
        Mean mm from the true place to the point with the nearest coordinates, and from the
        true place to the middle of all points, the best constant answer.
    """
    true, places = (np.asarray(one, np.float64) for one in (true_mm, places_mm))
    known = np.asarray(among, np.float64)
    nearest = [
        int(((known - one) ** 2).sum(axis=1).argmin()) for one in np.asarray(asked, np.float64)
    ]
    found = np.linalg.norm(places[nearest] - true, axis=1).mean()
    return float(found), float(np.linalg.norm(places.mean(axis=0) - true, axis=1).mean())


def _grid(extent: Floats, edges: Floats) -> Floats:
    """(N, 3) middles of boxes that cover a scan and overlap by half."""
    lines = []
    for whole, edge in zip(extent, edges, strict=True):
        room = max(0.0, float(whole - edge)) / 2
        lines.append(np.linspace(-room, room, int(np.ceil(4 * room / edge)) + 1))
    found: Floats = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    return found
