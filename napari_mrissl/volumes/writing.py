"""Writing label maps and images on a scan's own stored grid."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.volumes import mgh_writing, nifti_writing, text_writing
from napari_mrissl.volumes.atomic import write_atomically, write_text
from napari_mrissl.volumes.errors import WriteError
from napari_mrissl.volumes.volume import StoredGrid, Volume

Encoder = Callable[[NDArray[Any], StoredGrid, bool, Path], list[bytes | memoryview]]

_ENCODERS: dict[str, Encoder] = {
    ".nii": nifti_writing.encode,
    ".nii.gz": nifti_writing.encode_gzip,
    ".mgh": mgh_writing.encode,
    ".mgz": mgh_writing.encode_gzip,
    ".nrrd": text_writing.encode_nrrd,
    ".mha": text_writing.encode_metaimage,
}
WRITABLE_SUFFIXES = tuple(_ENCODERS)
"""Suffixes that `write_labels` and `write_image` know."""

_OF_VECTORS = (".nii", ".nii.gz")
_LARGEST_TABLE = 2**20
GENERATOR = f"napari-mrissl {__version__}"


def write_labels(
    path: str | Path,
    labels: NDArray[Any],
    volume: Volume,
    *,
    overwrite: bool = False,
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, str] | None = None,
) -> Path:
    """Save a label map on the scan's stored grid, in the smallest unsigned integer type.

    Shape, affine and, for NIfTI, sform, qform, their codes and the unit are the scan's;
    everything else in the header is made anew, so that nothing about the patient is
    carried along. The file is created whole or not at all.

    Parameters
    ----------
    path
        Target; its suffix (`WRITABLE_SUFFIXES`) chooses the format.
    labels
        Integers >= 0 on the volume's (S, A, R) grid.
    volume
        The scan.
    overwrite
        Whether an existing file may be replaced; the scan itself never is.
    names, colors
        Name and ``#rrggbb`` colour by label; written as a table to ``<name>_labels.json``
        beside the label map.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    WriteError
        If the file exists or is the scan, or the system refuses.
    ScanError
        If the array is not on the volume's grid.
    """
    stored = volume.to_stored(_smallest(np.asarray(labels)))
    target = Path(path)
    table = _table_path(target) if names or colors else None
    _check_target(target, volume, overwrite)
    if table is not None:
        # Nobody was asked about this second file: only a table of ours may be replaced.
        _check_target(table, volume, overwrite and _is_table(table))
    _write(target, stored, volume.stored, is_labels=True)
    if table is not None:
        write_text(table, _table(names or {}, colors or {}))
    return target


def write_image(
    path: str | Path, values: NDArray[Any], volume: Volume, *, overwrite: bool = False
) -> Path:
    """Save values on the scan's stored grid, in their own type; see `write_labels`.

    Parameters
    ----------
    values
        Integers or floating point numbers on the volume's (S, A, R) grid; bool becomes
        uint8 and float16 float32.

    Raises
    ------
    WriteError, ScanError
    """
    values = np.asarray(values)
    if values.dtype == bool:
        values = values.view(np.uint8)
    elif values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype.kind not in "uif" or values.dtype.itemsize > 8:
        raise WriteError(
            f"values of type {values.dtype}",
            where=Path(path),
            expected="integers or floating point numbers of at most 64 bits",
            remedy="convert them first",
        )
    target = Path(path)
    _check_target(target, volume, overwrite)
    _write(target, volume.to_stored(values), volume.stored, is_labels=False)
    return target


def write_vectors(
    path: str | Path, vectors: NDArray[np.float32], volume: Volume, *, overwrite: bool = False
) -> Path:
    """Save a vector in every voxel on the scan's stored grid, as NIfTI with vector intent.

    Components are written as they are; only the voxels are put in the stored order.

    Parameters
    ----------
    vectors
        (S, A, R, C) floating point numbers.

    Raises
    ------
    WriteError, ScanError
        As for `write_image`, and if the suffix is not that of NIfTI.
    """
    target = Path(path)
    _check_target(target, volume, overwrite)
    if not target.name.lower().endswith(_OF_VECTORS):
        raise WriteError(
            "a format without vectors",
            where=target,
            field="suffix",
            expected=" or ".join(_OF_VECTORS),
            remedy="choose another suffix",
        )
    components = [volume.to_stored(part) for part in np.moveaxis(vectors, -1, 0)]
    parts = nifti_writing.encode_vectors(np.stack(components, axis=-1), volume.stored)
    if target.name.lower().endswith(".gz"):
        parts = nifti_writing.gzip_parts(parts)
    _write_parts(target, parts)
    return target


def _smallest(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.dtype == bool:
        return labels.view(np.uint8)
    if labels.dtype.kind not in "ui" or (labels.size and int(labels.min()) < 0):
        raise WriteError(
            f"labels of type {labels.dtype} or below 0",
            expected="whole numbers from 0",
            remedy="save other values as an image",
        )
    smallest = np.min_scalar_type(int(labels.max()) if labels.size else 0)
    return labels.astype(smallest, copy=False)


def _check_target(path: Path, volume: Volume, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise WriteError(
            "the folder does not exist",
            where=path,
            expected="an existing folder",
            remedy="create it or choose another",
        )
    if not path.exists():
        return
    same = volume.source is not None and (
        volume.source == path.resolve() or _same_file(volume.source, path)
    )
    if same or path.is_dir():
        raise WriteError(
            "the scan itself" if same else "a folder",
            where=path,
            field="target",
            expected="another file name",
            remedy="choose another name; a scan is never written over",
        )
    if not overwrite:
        raise WriteError(
            "already there",
            where=path,
            field="target",
            expected="a new file name",
            remedy="choose another name or allow overwriting",
        )


def _same_file(first: Path, second: Path) -> bool:
    return first.exists() and os.path.samefile(first, second)


def _write(target: Path, stored: NDArray[Any], grid: StoredGrid, *, is_labels: bool) -> None:
    suffix = _suffix(target)
    _write_parts(target, _ENCODERS[suffix](stored, grid, is_labels, target))


def _write_parts(target: Path, parts: list[bytes | memoryview]) -> None:
    def write(file: BinaryIO) -> None:
        for part in parts:
            file.write(part)

    write_atomically(target, write)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    fitting = [suffix for suffix in WRITABLE_SUFFIXES if name.endswith(suffix)]
    if not fitting:
        raise WriteError(
            "a format that is not written",
            where=path,
            field="suffix",
            expected=f"one of {', '.join(WRITABLE_SUFFIXES)}",
            remedy="choose another suffix",
        )
    return max(fitting, key=len)


def _table_path(target: Path) -> Path:
    return target.with_name(target.name[: -len(_suffix(target))] + "_labels.json")


def _is_table(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > _LARGEST_TABLE:
        return False
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and set(found) == {"generator", "labels"}


def _table(names: Mapping[int, str], colors: Mapping[int, str]) -> str:
    rows: list[dict[str, object]] = []
    for label in sorted({*names, *colors}):
        row: dict[str, object] = {"index": int(label), "name": names.get(label, str(label))}
        if label in colors:
            row["color"] = colors[label]
        rows.append(row)
    return json.dumps({"generator": GENERATOR, "labels": rows}, indent=2) + "\n"
