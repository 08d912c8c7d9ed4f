"""What must be known of a scan before a run, kept so that it is read once.

Two hashes tell copies: the volume's identity (voxels, affine, type), and that of its values
alone, which a copy keeps that was saved with another header, type or orientation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.training.data.preprocessing import looks_like_ct
from napari_mrissl.volumes import Volume, read
from napari_mrissl.volumes.atomic import write_text

_VERSION = 1


@dataclass(frozen=True)
class Facts:
    """What a run needs to know of a scan without its voxels.

    Attributes
    ----------
    identity
        Of the volume.
    values
        SHA-256 of shape and values, whatever the header says; the same for a scan and its
        mirror images along stored axes, since those are read alike.
    nbytes
        Of the decoded voxels.
    shape, spacing_mm
        Along (S, A, R).
    ct
        Whether its values look like HU.
    frames
        How many volumes the file holds; the first is taken.
    disputed
        Whether another program puts it elsewhere in space.
    """

    identity: str
    values: str
    nbytes: int
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    ct: bool
    frames: int
    disputed: bool


def facts_of(path: Path) -> Facts:
    """Read a scan, or what is known of it since it was last read unchanged.

    Raises
    ------
    MrisslError
        If it cannot be opened.
    """
    return facts_and_volume(path)[0]


def facts_and_volume(path: Path) -> tuple[Facts, Volume | None]:
    """As `facts_of`, with the volume where it had to be read.

    Raises
    ------
    MrisslError
        If it cannot be opened.
    """
    note = _note(path)
    if note is not None and (known := _recalled(note)) is not None:
        return known, None
    volume = read(path)
    facts = measured(volume)
    if note is not None:
        _keep(note, facts)
    return facts, volume


def measured(volume: Volume) -> Facts:
    """The facts of a volume in memory."""
    first, second, third = (float(value) for value in volume.spacing)
    return Facts(
        volume.identity,
        values_sha256(volume),
        int(volume.data.nbytes),
        volume.shape,
        (first, second, third),
        looks_like_ct(volume),
        volume.frames,
        bool(volume.disagreements),
    )


def values_sha256(volume: Volume) -> str:
    """SHA-256 of shape and values in single precision, plane by plane."""
    digest = hashlib.sha256(repr(volume.shape).encode())
    # What does not fit single precision is infinite in every copy alike.
    with np.errstate(over="ignore", invalid="ignore"):
        for plane in volume.data:
            values = (volume.slope * plane.astype(np.float64) + volume.intercept).astype("<f4")
            digest.update((values + np.float32(0)).tobytes())
    return digest.hexdigest()


def _note(path: Path) -> Path | None:
    """Where the facts of a file are kept; None for folders, whose change is not seen."""
    if not path.is_file():
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    key = f"{_VERSION}/{path.resolve()}/{status.st_size}/{status.st_mtime_ns}"
    name = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
    return cache_directory() / "scan_facts" / f"{name}.json"


def _recalled(note: Path) -> Facts | None:
    # A note that cannot be read is as good as none: the scan itself is read.
    try:
        known: Any = json.loads(note.read_text("utf-8"))
        known["shape"], known["spacing_mm"] = tuple(known["shape"]), tuple(known["spacing_mm"])
        return Facts(**known)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _keep(note: Path, facts: Facts) -> None:
    # Without a place to keep it the scan is read again next time.
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, json.dumps(asdict(facts)))
    except (OSError, MrisslError):
        return
