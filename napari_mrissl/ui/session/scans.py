"""From a volume to what names it in a session, and back from the name to the volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.trajectories import scan_index
from napari_mrissl.ui.session.records import ScanReference
from napari_mrissl.volumes import Volume, read, samples

Progress = Callable[[float], None]

# By the names that the samples have: the identity tells whether it is one.
_SAMPLES: dict[str, Callable[[], Volume]] = {
    "MNI152 T1 1 mm": lambda: samples.mni152(1),
    "MNI152 T1 2 mm": lambda: samples.mni152(2),
    "phantom": samples.phantom,
}


class ScanMissing(MrisslError):
    """A scan is not where it was, or another one is there: the user can point to it."""


def reference_of(volume: Volume) -> ScanReference | None:
    """What names a volume for good, or None if it can never be read again.

    Hashes the voxels the first time: not for the GUI thread. A scan's place goes to the
    scan index, if it is not known there.
    """
    identity = volume.identity
    sample = volume.name if volume.name in _SAMPLES else None
    place = scan_index.locate(identity)
    if volume.source is not None and place is None and sample is None:
        scan_index.remember(identity, volume.source)
        place = volume.source
    if place is None and sample is None:
        return None
    return ScanReference(
        identity=identity, frame=volume.frame, name=volume.name[:1000], sample=sample
    )


def read_scan(reference: ScanReference, progress: Progress) -> Volume:
    """The volume that a session names.

    Raises
    ------
    ScanMissing
        If it is not there any more, or is another one by now.
    ScanError
        If its file is damaged.
    """
    name = printable(reference.name)
    if reference.sample in _SAMPLES:
        volume = _SAMPLES[reference.sample]()
        if volume.identity == reference.identity:
            return volume
    path = scan_index.locate(reference.identity)
    if path is None:
        raise ScanMissing(f"{name} is not where it was", remedy="point to where it lies now")
    volume = read(path, reference.frame or None, progress)
    if volume.identity != reference.identity:
        raise ScanMissing(
            f"{name} is no longer the scan that it was",
            remedy="point to where the former one lies now",
        )
    return volume


def read_located(reference: ScanReference, path: Path, progress: Progress) -> Volume:
    """The volume that a session names, from where the user says that it lies.

    Raises
    ------
    ScanMissing
        If another scan is there; the index stays as it was.
    ScanError
        If the file cannot be read.
    """
    volume = read(path, reference.frame or None, progress)
    if volume.identity != reference.identity:
        raise ScanMissing(
            f"this is not {printable(reference.name)}",
            where=path,
            expected="the very scan of the session, voxel for voxel",
        )
    scan_index.remember(reference.identity, path)
    return volume
