"""The formats that datasets of flights can be exported to and imported from, by name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_mrissl.errors import MrisslError
from napari_mrissl.interrupts import raised_by
from napari_mrissl.trajectories.exchange.incoming import store
from napari_mrissl.trajectories.exchange.optional import needed
from napari_mrissl.trajectories.exchange.stretches import Progress, Stretches, check_out
from napari_mrissl.trajectories.frames import Scans
from napari_mrissl.trajectories.new_folder import new_file, new_folder
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.trajectories.dataset import Dataset

Exported = Literal["bids", "hdf5", "lerobot", "minari", "webdataset"]
Imported = Literal["bids", "hdf5"]


@dataclass(frozen=True)
class _Format:
    """Where a format is written.

    Attributes
    ----------
    module
        Has ``write(stretches, partial)``.
    suffixes
        Of the one file; none where it is a folder.
    library
        What it takes of the extra ``exports``.
    """

    module: str
    suffixes: tuple[str, ...] = ()
    library: str | None = None


_HERE = "napari_mrissl.trajectories.exchange"
_FORMATS: dict[str, _Format] = {
    "bids": _Format(f"{_HERE}.bids"),
    "hdf5": _Format(f"{_HERE}.hdf5", (".h5", ".hdf5"), "h5py"),
    "lerobot": _Format("napari_mrissl.trajectories.lerobot"),
    "minari": _Format(f"{_HERE}.minari", (), "h5py"),
    "webdataset": _Format(f"{_HERE}.webdataset"),
}
_IMPORTS = {"bids": f"{_HERE}.bids_import", "hdf5": f"{_HERE}.hdf5_import"}


def export(
    to: Exported,
    dataset: Dataset,
    out: str | Path,
    size: int = 256,
    *,
    scans: Scans | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a dataset in a format of others: all of it, or nothing.

    What is written is said by the ``write`` of each format's module. An episode with cuts,
    pauses in which the plane was moved, becomes several: one a stretch between cuts.

    Parameters
    ----------
    to
        Which format.
    dataset
        What to export.
    out
        A folder that is not there yet, outside the dataset's; for ``hdf5`` a file.
    size
        Pixels along a side of the images, where the format has any.
    scans
        Where the scans come from; without it, they are looked up on this machine.
    progress
        Called with the fraction done. What it raises ends the export and passes through.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    MrisslError
        If a library is not installed, there is no episode, one is damaged, a scan is not
        found, or ``out`` is there or cannot be written. Nothing is left behind then.
    """
    out = Path(out)
    known = _FORMATS.get(to)
    if known is None:
        raise MrisslError(f"format {to!r}", expected=" or ".join(_FORMATS))
    if known.suffixes and out.suffix.lower() not in known.suffixes:
        raise MrisslError("suffix is not known", where=out, expected=" or ".join(known.suffixes))
    check_out(out, dataset)
    if known.library:
        needed(known.library, "exports")
    begin = new_file if known.suffixes else new_folder
    with begin(out) as partial, raised_by(progress) as tell:
        stretches = Stretches(dataset, size, scans, tell)
        importlib.import_module(known.module).write(stretches, partial)
    return out


def load(
    source_format: Imported,
    source: str | Path,
    out: str | Path,
    *,
    scans: Sequence[Volume] = (),
    progress: Progress | None = None,
) -> Dataset:
    """Store flights out of a format of others as a new dataset: all of them, or nothing.

    Poses come back bit for bit as they are stored; pictures stay behind, for they can be
    rendered again. What is taken is said by the ``flights`` of each format's module.

    Parameters
    ----------
    source_format
        Which format.
    source
        The file or folder to read.
    out
        A folder that is not there yet.
    scans
        Scans; where there is one, it is that of flights that name none.
    progress
        Called with the fraction done. What it raises ends the import and passes through.

    Raises
    ------
    MrisslError
        If a library is not installed, the source is not as its format says or names no
        scan, or ``out`` is there or cannot be written. Nothing is left behind then.
    """
    module = _IMPORTS.get(source_format)
    if module is None:
        raise MrisslError(f"format {source_format!r}", expected=" or ".join(_IMPORTS))
    library = _FORMATS[source_format].library
    if library:
        needed(library, "exports")
    found = importlib.import_module(module).flights(Path(source))
    with raised_by(progress) as tell:
        return store(found, Path(out), scans, tell)
