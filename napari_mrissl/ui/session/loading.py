"""Reads the scans and labels that a session names: plain functions of a `Control`, no layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.ui.session.records import LayerRecord
from napari_mrissl.ui.session.scans import ScanMissing, read_located, read_scan
from napari_mrissl.ui.session.store import read_labels
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.ui.jobs import Control


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a layer is made of; ``place`` is its number in the session."""

    place: int
    volume: Volume
    labels: NDArray[Any] | None


@dataclass(frozen=True)
class Failed:
    """Why layers cannot be made; ``missing`` if the user can point to their scan."""

    places: tuple[int, ...]
    sentence: str
    missing: bool = False


def load(
    folder: Path, layers: Mapping[int, LayerRecord], known: Mapping[str, Volume], control: Control
) -> None:
    """Read layer by layer, bottom first, and send each as it comes: `Loaded` or `Failed`."""
    volumes = dict(known)
    failed: set[str] = set()
    for count, (place, layer) in enumerate(sorted(layers.items())):
        if control.cancelled():
            raise Cancelled
        scan = layer.scan
        if scan.identity in failed:
            continue

        def report(share: float, done: int = count, name: str = scan.name) -> None:
            if control.cancelled():
                raise Cancelled
            control.progress((done + share) / len(layers), f"Reading {printable(name)}")

        report(0.0)
        try:
            if scan.identity not in volumes:
                volumes[scan.identity] = read_scan(scan, report)
        except (MrisslError, OSError, MemoryError) as error:
            failed.add(scan.identity)
            of_scan = (n for n, other in layers.items() if other.scan.identity == scan.identity)
            missing = isinstance(error, ScanMissing)
            control.send(Failed(tuple(of_scan), _said(error, scan.name), missing))
            continue
        volume = volumes[scan.identity]
        try:
            control.send(Loaded(place, volume, _labels(folder, layer, volume)))
        except (MrisslError, OSError, MemoryError) as error:
            control.send(Failed((place,), _said(error, layer.look.name)))


def locate(folder: Path, layers: Mapping[int, LayerRecord], path: Path, control: Control) -> None:
    """As `load`, with a scan read from where the user says that it lies.

    Raises
    ------
    ScanMissing
        If another scan is there.
    """
    scan = next(iter(layers.values())).scan
    volume = read_located(scan, path, lambda share: control.progress(share, "Reading"))
    load(folder, layers, {scan.identity: volume}, control)


def _labels(folder: Path, layer: LayerRecord, volume: Volume) -> NDArray[Any] | None:
    if layer.kind != "labels":
        return None
    dtype = layer.dtype or "|u1"
    if layer.voxels is None:
        return np.array(volume.data, np.dtype(dtype).newbyteorder("="))
    return read_labels(folder, layer.voxels, volume.shape, dtype)


def _said(error: Exception, name: str) -> str:
    if isinstance(error, MrisslError):
        return str(error)
    reason = "more memory is needed than is free" if isinstance(error, MemoryError) else str(error)
    return f"{printable(name)} could not be read: {reason}."
