"""What the panel does off the GUI thread; only here is torch imported, in the job's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.evaluation.weights import scan_for
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.pretext.coordinates.field import Drawn, Field, field_of
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.ui.inspector.loading import Network, network_of
from napari_mrissl.ui.jobs import Control
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.coordinates.inspection import Inspector, Located

Floats = NDArray[np.float64]

POINTS = 400
"""Of the body, that order is measured on."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network, a scan, and what the one says of the other.

    Attributes
    ----------
    field, drawn
        Coordinates of the whole scan, and as they are looked at.
    located
        Of some points of the body.
    numbers
        Rank correlations and an error of these points; each beside ``chance_`` of it.
    """

    network: Network[Inspector]
    scan: Scan
    field: Field
    drawn: Drawn
    located: Located
    numbers: dict[str, float]


@dataclass(frozen=True, eq=False)
class Found:
    """Where the coordinate of a place is in another scan.

    Attributes
    ----------
    name
        Of the other scan.
    volume
        The other scan.
    field
        Its coordinates.
    world
        (3,) the place in it, world RAS mm.
    off_mm
        How far the coordinate there is from the one that was asked for.
    """

    name: str
    volume: Volume
    field: Field
    world: Floats
    off_mm: float


class Aligned(NamedTuple):
    """An affine alignment of two scans.

    Attributes
    ----------
    pair
        Identities of the scan that was clicked and of the other one.
    matrix
        (4, 4) from the one's world to the other's, RAS mm.
    """

    pair: tuple[str, str]
    matrix: Floats


def _opened(weights: Path) -> Inspector:
    # Torch comes with this import: it stays out of the start of the dock.
    from napari_mrissl.pretext.coordinates.inspection import Inspector

    return Inspector.open(weights)


def load(
    control: Control,
    folder: Path,
    known: Network[Inspector] | None,
    read: Callable[[], Volume] | None,
) -> tuple[Network[Inspector], Loaded | None]:
    """Load weights where they are not loaded yet, and ask the network about a whole scan."""
    network = network_of(control, folder, known, 0.02, _opened)
    if read is None:
        return network, None
    from napari_mrissl.pretext.coordinates.inspection import chance

    stop_if(control.cancelled)
    control.progress(0.1, "Preparing the scan")
    scan = scan_for(read(), network.inspector.card)
    field = field_of(network.inspector, scan, _telling(control, 0.1, 0.8, "Locating the scan"))
    control.progress(0.9, "Measuring order")
    located = network.inspector.locate(
        scan, network.inspector.body_points(scan, POINTS, 0), progress=_telling(control, 0.9, 0.1)
    )
    numbers = network.inspector.measure(located)
    numbers |= {f"chance_{name}": value for name, value in chance(located).items()}
    return network, Loaded(network, scan, field, field.drawn(), located, numbers)


def find(
    control: Control,
    network: Network[Inspector],
    coordinates: Floats,
    name: str,
    read: Callable[[], Volume],
    known: dict[str, Field],
) -> Found:
    """Find coordinates (3,) in another scan, whose field may be known by its identity."""
    inspector = network.inspector
    volume = read()
    field = known.get(volume.identity)
    if field is None:
        scan = scan_for(volume, inspector.card)
        field = field_of(inspector, scan, _telling(control, 0.0, 1.0, f"Locating {name}"))
    stop_if(control.cancelled)
    place, off = field.nearest(coordinates)
    off_mm = off * inspector.settings.scale_mm
    return Found(name, volume, field, field.lattice.to_world(place), off_mm)


def align(control: Control, fixed: Volume, moving: Volume) -> Aligned:
    """The affine map from the scan that was clicked to the other one."""
    from napari_mrissl.evaluation.same_places import alignment

    matrix = alignment(fixed, moving, control.progress, control.cancelled)
    return Aligned((fixed.identity, moving.identity), matrix)


def template() -> Volume:
    """What coordinates are compared with where no other scan is open."""
    from napari_mrissl.volumes import samples

    return samples.mni152(resolution=2)


def measure(control: Control, loaded: Loaded) -> dict[str, Any]:
    """Order, and points found again after other grey values, beside chance and an untrained net."""
    from napari_mrissl.evaluation.body_coordinates import examine

    tell = _telling(control, 0.0, 1.0, "Measuring, with the untrained network too")
    return examine(loaded.network.inspector, loaded.scan, POINTS, 0, tell).numbers


def _telling(
    control: Control, first: float, share: float, words: str = ""
) -> Callable[[float], None]:
    """Tells of a part of a job, and ends it when it is cancelled."""

    def tell(done: float) -> None:
        stop_if(control.cancelled)
        control.progress(first + share * done, words)

    return tell
