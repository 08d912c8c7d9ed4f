"""Decoded scans on disk, mapped into memory: for cohorts that do not fit the cache.

A crop needs a few of a scan's pages; to decompress the scan again for each would cost a
hundred times as much. Files lie in the user's cache directory, named by identity, and may
be deleted at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.directories import cache_directory
from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes import StoredGrid, Volume
from napari_mrissl.volumes.atomic import write_atomically, write_text

KEPT_DAYS = 14
"""Days without use after which a file goes."""

FREE_BYTES = 5 << 30
"""Disk that is left free for others."""


def spill(volume: Volume) -> bool:
    """Write a decoded volume where `mapped` finds it; False where there is no room for it."""
    if (voxels := _files(volume.identity)[0]).exists():
        return True
    try:
        folder = voxels.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < volume.data.nbytes + FREE_BYTES:
            return False

        def write(file: BinaryIO) -> None:
            np.lib.format.write_array(file, volume.data, allow_pickle=False)

        about = {
            "affine": volume.affine.tolist(),
            "slope": volume.slope,
            "intercept": volume.intercept,
        }
        write_text(_files(volume.identity)[1], json.dumps(about))
        write_atomically(voxels, write)
    # What cannot be kept is decoded again.
    except (OSError, MrisslError):
        return False
    return True


def mapped(identity: str) -> Volume | None:
    """The volume of this identity as it was written; None where it was not, or is damaged.

    All of it is read once, to be sure that nothing has changed; from then on only what is
    looked at.
    """
    voxels, about = _files(identity)
    if not voxels.exists():
        return None
    try:
        said = json.loads(about.read_text("utf-8"))
        data = np.asarray(np.load(voxels, mmap_mode="r", allow_pickle=False))
        affine = np.array(said["affine"], np.float64)
        shape = int(data.shape[0]), int(data.shape[1]), int(data.shape[2])
        volume = Volume(
            data,
            affine,
            StoredGrid(shape, affine),
            slope=float(said["slope"]),
            intercept=float(said["intercept"]),
        )
        if volume.identity == identity:
            os.utime(voxels)
            return volume
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, RecursionError):
        pass
    forget(identity)
    return None


def bytes_in_memory(array: NDArray[Any]) -> int:
    """Memory that an array takes in this process: none where it is mapped."""
    return 0 if isinstance(array.base, np.memmap) else int(array.nbytes)


def forget(identity: str) -> None:
    """Delete what was written of a volume."""
    for path in _files(identity):
        with contextlib.suppress(OSError):
            path.unlink()


def forget_unused() -> None:
    """Delete what was not used for `KEPT_DAYS`."""
    oldest = time.time() - KEPT_DAYS * 86_400
    for voxels in (cache_directory() / "decoded").glob("*.npy"):
        with contextlib.suppress(OSError):
            if voxels.stat().st_mtime < oldest:
                forget(voxels.stem)


def _files(identity: str) -> tuple[Path, Path]:
    folder = cache_directory() / "decoded"
    return folder / f"{identity}.npy", folder / f"{identity}.json"
