"""Where the scans of a run lie on this machine, found by identity."""

from __future__ import annotations

import os
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories.scan_index import locate, remember
from napari_mrissl.volumes import Volume, read
from napari_mrissl.volumes.errors import ScanError

_DATA_FILE_FIELDS = ("data file", "ElementDataFile")


def note_place(identity: str, path: Path) -> None:
    """Remember where a scan lies, unless that is known already.

    Raises
    ------
    MrisslError
        If the data directory cannot be written.
    """
    if locate(identity) != Path(os.path.abspath(path)):
        remember(identity, path)


def check_known(identity: str, subject: str) -> None:
    """Refuse a scan that this machine does not know.

    Raises
    ------
    MrisslError
        If it was never opened here, or was moved since.
    """
    if locate(identity) is None:
        raise MrisslError(
            f"the scan {identity[:12]} of this run is not known on this machine",
            where=subject,
            remedy="give the folder with the scans once more, and it is found by its content",
        )


def read_known(identity: str, subject: str) -> Volume:
    """Read the volume of this identity from where it was last seen.

    Errors name the subject: they reach the run's folder, where no file name may be.

    Raises
    ------
    MrisslError
        If it is not known, cannot be read, or is another one by now.
    """
    check_known(identity, subject)
    path = locate(identity)
    assert path is not None  # noqa: S101 - just checked
    try:
        volume = read(path)
    except MrisslError as error:
        # A field that names the data file holds, as a rule, the name of the header as well.
        detached = isinstance(error, ScanError) and error.field in _DATA_FILE_FIELDS
        found = "its header and its data file do not fit" if detached else error.found
        raise MrisslError(
            found, where=subject, expected=error.expected, remedy=error.remedy
        ) from error
    if volume.identity != identity:
        raise MrisslError(
            "the file has changed since the run was made",
            where=subject,
            remedy="restore the file, or start a new run with it",
        )
    return volume
