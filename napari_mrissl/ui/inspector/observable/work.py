"""What the panel does off the GUI thread; only here is torch imported, in the job's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.weights import scan_for, weights_of
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.pretext.observable import chunks
from napari_mrissl.pretext.observable.ablation import UNTRAINED_DRAWS
from napari_mrissl.pretext.observable.observations import ChunkView, GapMatrix
from napari_mrissl.pretext.observable.settings import ObservableSettings
from napari_mrissl.pretext.observable.views import Views, cut
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.ui.inspector.observable.choice import Choice
from napari_mrissl.ui.jobs import Control
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.observable.inspection import Inspector

Head = str
"""``"gaps"`` or ``"vectors"``: which answers of the network."""


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network and where it came from."""

    folder: Path
    inspector: Inspector

    @property
    def settings(self) -> ObservableSettings:
        """Of the task."""
        return self.inspector.settings

    def untrained(self, number: int) -> Inspector:
        """The same network with weights drawn anew, a control: each number another draw."""
        return self.inspector.untrained(number=number)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network and a scan prepared for it."""

    network: Network
    scan: Scan


@dataclass(frozen=True, eq=False)
class ViewsSeen:
    """Some views and what the network says of them.

    Attributes
    ----------
    choice
        Of these views; its cell is not looked at.
    images
        (V, S, A, R) in [0, 1]: what the network got.
    matrices
        By head: ``"gaps"``, and ``"vectors"`` where they were learned.
    """

    choice: Choice
    images: NDArray[np.float32]
    matrices: dict[Head, GapMatrix]

    @property
    def views(self) -> Views:
        """Where they are."""
        return self.matrices["gaps"].views


@dataclass(frozen=True, eq=False)
class RowsSeen:
    """Equidistant views along one axis (0 R, 1 A, 2 S), and what the network says of them."""

    axis: int
    matrices: dict[Head, GapMatrix]

    @property
    def views(self) -> Views:
        """Where they are."""
        return self.matrices["gaps"].views


@dataclass(frozen=True, eq=False)
class ChunkSeen:
    """The four chunks of a pair: the network's answer, and (4, S, A, R) what they show."""

    view: ChunkView
    images: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ChunksSeen:
    """The chunks of all pairs of some views that are far enough apart.

    Attributes
    ----------
    pairs
        May be none.
    edges_mm
        (3,) of every chunk along (R, A, S).
    dropped
        How many pairs are too near to each other.
    accuracy
        Share of pairs whose adjacent chunks were found, by who looked: the network itself,
        untrained ones (the mean of several draws of weights, and the best), grey values, and
        a guess. Nothing where there are no pairs.
    """

    pairs: tuple[ChunkSeen, ...]
    edges_mm: NDArray[np.float64]
    dropped: int
    accuracy: dict[str, float]


def load(
    control: Control, folder: Path, known: Network | None, read: Callable[[], Volume] | None
) -> tuple[Network, Loaded | None]:
    """Load weights where they are not loaded yet, and read and prepare a scan for them."""
    network = known
    if network is None or network.folder != folder:
        control.progress(0.1, "Loading the weights")
        # Torch comes with this import: it stays out of the start of the dock.
        from napari_mrissl.pretext.observable.inspection import Inspector

        network = Network(folder, Inspector.open(weights_of(folder)))
    if read is None:
        return network, None
    stop_if(control.cancelled)
    control.progress(0.6, "Preparing the scan")
    return network, Loaded(network, scan_for(read(), network.inspector.card))


def look(control: Control, loaded: Loaded, choice: Choice) -> ViewsSeen:
    """Draw views and ask the network about all pairs of them."""
    inspector, scan = loaded.network.inspector, loaded.scan
    views = inspector.draw(scan, choice.count, choice.seed)
    matrices = _matrices(control, loaded, views, lagging=choice.lagging)
    return ViewsSeen(choice, cut(scan, views), matrices)


def rows(control: Control, loaded: Loaded, count: int, axis: int) -> RowsSeen:
    """Equidistant views along an axis, from end to end of the scan."""
    views = loaded.network.inspector.row(loaded.scan, count, axis)
    matrices = _matrices(control, loaded, views, lagging=False)
    for matrix in matrices.values():
        # Kept by the matrix: 41 664 triples of 64 views are not for the GUI's thread.
        _ = matrix.consistency
    return RowsSeen(axis, matrices)


def compare_chunks(control: Control, loaded: Loaded, seen: ViewsSeen) -> ChunksSeen:
    """The chunks of all pairs of views that were looked at, and how well controls find them."""
    inspector, scan, views = loaded.network.inspector, loaded.scan, seen.views
    tell = _teller(control, "Comparing chunks")
    lagging = seen.choice.lagging
    features = inspector.features(
        scan, views, dense=True, lagging=lagging, progress=lambda part: tell(0.3 * part)
    )
    found = inspector.chunks(scan, features, lambda part: tell(0.3 + 0.2 * part))
    untrained = _untrained(loaded, views, lambda part: tell(0.5 + 0.5 * part)) if found else []
    plan = inspector.task.plan(views)
    pairs = []
    for view, number in zip(found, np.flatnonzero(plan.kept), strict=True):
        parts = []
        for which, start in zip(plan.of_view[number], plan.starts[number], strict=True):
            s, a, r = (slice(int(n), int(n) + m) for n, m in zip(start, plan.size, strict=True))
            parts.append(seen.images[which, s, a, r])
        pairs.append(ChunkSeen(view, np.stack(parts)))
    accuracy = {}
    if found:
        accuracy = {
            "network": _share([one.adjacent_right for one in found]),
            f"untrained (mean of {len(untrained)} draws)": float(np.mean(untrained)),
            "best of them": max(untrained),
            "grey values": _share([bool(chunks.verdicts(one.raw)[0]) for one in found]),
            "a guess": chunks.CHANCE,
        }
    edges = views.edges_mm * (np.array(plan.size) / views.voxels)[::-1]
    return ChunksSeen(tuple(pairs), edges, int((~plan.kept).sum()), accuracy)


def _untrained(loaded: Loaded, views: Views, tell: Callable[[float], None]) -> list[float]:
    """Of each draw of weights, the share of pairs whose adjacent chunks it finds."""
    scan = loaded.scan
    shares: list[float] = []

    def within(part: float) -> None:
        tell((len(shares) + part) / UNTRAINED_DRAWS)

    for number in range(UNTRAINED_DRAWS):
        # None of them is kept: their maps are large.
        other = loaded.network.untrained(number)
        features = other.features(scan, views, dense=True, progress=lambda part: within(0.7 * part))
        found = other.chunks(scan, features, lambda part: within(0.7 + 0.3 * part))
        shares.append(_share([one.adjacent_right for one in found]))
    return shares


def _matrices(
    control: Control, loaded: Loaded, views: Views, *, lagging: bool
) -> dict[Head, GapMatrix]:
    inspector = loaded.network.inspector
    tell = _teller(control, f"Looking at {len(views)} views")
    features = inspector.features(loaded.scan, views, lagging=lagging, progress=tell)
    found = {"gaps": inspector.matrix(features)}
    if inspector.settings.vectors:
        found["vectors"] = inspector.matrix(features, "vectors")
    return found


def _teller(control: Control, words: str) -> Callable[[float], None]:
    def tell(part: float) -> None:
        stop_if(control.cancelled)
        control.progress(part, words)

    return tell


def _share(right: Sequence[bool]) -> float:
    return float(np.mean(right))
