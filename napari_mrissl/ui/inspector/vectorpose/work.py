"""What the panel does off the GUI thread; only here is torch imported, in the job's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.vectorpose import Report, draw, examine, write
from napari_mrissl.evaluation.weights import scan_for, weights_of
from napari_mrissl.features.cancel import stop_if
from napari_mrissl.pretext import crops
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.vectorpose.chance import constant_summary
from napari_mrissl.pretext.vectorpose.decode import Summary
from napari_mrissl.pretext.vectorpose.settings import VectorPoseSettings
from napari_mrissl.pretext.vectorpose.vectors import axis_of, vectors_mm
from napari_mrissl.pretext.vectorpose.views import CropView, Direction
from napari_mrissl.ui.jobs import Control
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.pretext.vectorpose.inspection import Inspector

_CHANCE_CROPS = 128
_SWEEP_PLACES = 25


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network and where it came from."""

    folder: Path
    inspector: Inspector

    @property
    def settings(self) -> VectorPoseSettings:
        """Of the task."""
        return self.inspector.settings


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network and a scan prepared for it.

    Attributes
    ----------
    chance
        What the best constant answers are worth on random crops of this scan; None where no
        vectors are predicted.
    off_middle_mm
        How far the body lies off the axis that the arrows end at, at most, or None where
        that is not known.
    """

    network: Network
    scan: Scan
    chance: Summary | None
    off_middle_mm: float | None


@dataclass(frozen=True, eq=False)
class CropSeen:
    """A crop and what the network says of it.

    Attributes
    ----------
    record
        Of the crop.
    image
        (S, S, S) in [0, 1], turned.
    axis
        (2, 3) the body's axis through the depth of the crop, world RAS mm.
    true
        (9, 3) the true arrows, world RAS mm.
    view
        The prediction; None where the network predicts no vectors.
    """

    record: CropRecord
    image: NDArray[np.float32]
    axis: NDArray[np.float64]
    true: NDArray[np.float64]
    view: CropView | None


def load(
    control: Control, folder: Path, known: Network | None, read: Callable[[], Volume] | None
) -> tuple[Network, Loaded | None]:
    """Load weights where they are not loaded yet, and read and prepare a scan for them."""
    network = known
    if network is None or network.folder != folder:
        control.progress(0.05, "Loading the weights")
        # Torch comes with this import: it stays out of the start of the dock.
        from napari_mrissl.pretext.vectorpose.inspection import Inspector

        network = Network(folder, Inspector.open(weights_of(folder)))
    if read is None:
        return network, None
    stop_if(control.cancelled)
    control.progress(0.4, "Preparing the scan")
    scan = scan_for(read(), network.inspector.card)
    stop_if(control.cancelled)
    control.progress(0.7, "Measuring chance")
    chance = _chance(network.inspector, scan) if network.settings.vectors else None
    return network, Loaded(network, scan, chance, _off_middle(network.inspector, scan))


def look(control: Control, loaded: Loaded, record: CropRecord) -> CropSeen:
    """Cut a crop and ask the network about it."""
    stop_if(control.cancelled)
    inspector, scan = loaded.network.inspector, loaded.scan
    if inspector.settings.vectors:
        view = inspector.look(scan, [record])[0]
        assert view.image is not None  # noqa: S101 - `look` keeps all images
        return CropSeen(record, view.image, view.axis, view.true, view)
    axis = inspector.task.axis(scan)
    ends = np.stack([axis.at(record.lower_mm[0]), axis.at(record.upper_mm[0])])
    true = record.vectors_to_world(vectors_mm(record, axis, turned=False))
    return CropSeen(record, crops.cut(scan, record), record.to_world(ends), true, None)


def sweep(control: Control, loaded: Loaded, record: CropRecord, direction: Direction) -> Any:
    """Slide a crop through the scan; ends between the crops when it is cancelled."""
    return loaded.network.inspector.sweep(
        loaded.scan, record, direction, _SWEEP_PLACES, lambda _: stop_if(control.cancelled)
    )


def restore(control: Control, loaded: Loaded, record: CropRecord, seed: int) -> Any:
    """Spoil a crop and restore it."""
    stop_if(control.cancelled)
    return loaded.network.inspector.restoration(loaded.scan, record, seed)


def resample(control: Control, loaded: Loaded, seed: int) -> CropRecord:
    """Another random crop, drawn as the run draws them."""
    stop_if(control.cancelled)
    return draw(loaded.network.inspector, loaded.scan, 1, seed)[0]


def measure(control: Control, loaded: Loaded, count: int, seed: int, shuffled: Path | None) -> Any:
    """Measure the network and the null controls on random crops."""
    from napari_mrissl.pretext.vectorpose.inspection import Inspector

    control.progress(0.0, f"Measuring {count} crops")
    other = None if shuffled is None else Inspector.open(weights_of(shuffled))

    def tell(part: float) -> None:
        stop_if(control.cancelled)
        control.progress(part, f"Measuring {count} crops")

    report: Report = examine(loaded.network.inspector, loaded.scan, count, seed, other, tell)
    return report


def save(report: Report, folder: Path) -> int:
    """Write the numbers, a table and figures into a new folder; how many files these are.

    Raises
    ------
    MrisslError
        If the folder is there already, or cannot be written.
    """
    return len(write(report, folder))


def _chance(inspector: Inspector, scan: Scan) -> Summary:
    """The best constant answers to random crops, orientation by guess; nothing is predicted."""
    axis = inspector.task.axis(scan)
    records = draw(inspector, scan, _CHANCE_CROPS)
    found = constant_summary(records, axis, inspector.settings.least_r)
    return replace(found, orientation_accuracy=inspector.settings.most_likely_orientation)


def _off_middle(inspector: Inspector, scan: Scan) -> float | None:
    if inspector.settings.axis == "body":
        return None
    try:
        body = axis_of(scan.volume, "body")
    except MrisslError:
        return None  # No body is found: then nothing can be said of its place.
    middle = inspector.task.axis(scan).places_mm.mean(axis=0)
    return float(np.median(np.linalg.norm(body.places_mm - middle, axis=1)))
