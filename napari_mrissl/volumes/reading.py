"""`read`: any supported scan file or folder becomes a `Volume`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import printable
from napari_mrissl.geometry.affines import spacing
from napari_mrissl.volumes import dicom, metaimage, mgh, nifti, nrrd
from napari_mrissl.volumes.errors import BadGeometry, UnknownFormat, UnreadableFile
from napari_mrissl.volumes.layout import Layout
from napari_mrissl.volumes.nifti_header import looks_like_nifti
from napari_mrissl.volumes.streams import Progress, Source
from napari_mrissl.volumes.volume import Volume

_BY_CONTENT: tuple[tuple[Callable[[bytes], bool], Callable[[Path], Layout]], ...] = (
    (looks_like_nifti, nifti.layout),
    (nrrd.looks_like_nrrd, nrrd.layout),
    (metaimage.looks_like_metaimage, metaimage.layout),
    (mgh.looks_like_mgh, mgh.layout),
)
_BY_SUFFIX: dict[str, Callable[[Path], Layout]] = {
    ".nii": nifti.layout,
    ".nii.gz": nifti.layout,
    ".hdr": nifti.layout,
    ".hdr.gz": nifti.layout,
    ".img": nifti.layout,
    ".img.gz": nifti.layout,
    ".mgh": mgh.layout,
    ".mgz": mgh.layout,
    ".mgh.gz": mgh.layout,
    ".nrrd": nrrd.layout,
    ".nhdr": nrrd.layout,
    ".mha": metaimage.layout,
    ".mhd": metaimage.layout,
}
READABLE_SUFFIXES = (*_BY_SUFFIX, ".dcm")
"""Suffixes of files that `read` opens, beside folders of DICOM files."""

_SNIFFED = 512
_SMALLEST_MM, _LARGEST_MM = 1e-6, 1e6


# Numbers beyond all reason overflow on their way to being refused.
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def read(path: str | Path, frame: int | None = None, progress: Progress | None = None) -> Volume:
    """Open a scan: NIfTI, MGH/MGZ, NRRD, MetaImage, or a folder with a DICOM series.

    The format is told by the content, else by the suffix. Compressed files are read to
    their end, so that a damaged one is refused rather than shown.

    Parameters
    ----------
    path
        File, or folder with DICOM files.
    frame
        Which 3-D array of a 4-D file, from 0; without it the first, and a note says so.
    progress
        Called with the fraction done, 0 to 1, from this thread.

    Raises
    ------
    ScanError
        If the scan cannot be opened as it is; says file, field, found, expected, remedy.
    """
    path = Path(path)
    # os.path answers "no" where pathlib raises, e.g. for a name that is too long.
    if not os.path.exists(path):
        raise UnreadableFile(
            "no such file or folder",
            where=path,
            expected="an existing file",
            remedy="check the name",
        )
    if not (path.is_dir() or path.is_file()):
        raise UnreadableFile(
            "neither a file nor a folder",
            where=path,
            expected="a scan",
            remedy="copy it into a file first",
        )
    parse = None if path.is_dir() else _format(path)
    volume = (
        _read_dicom(path, progress)
        if parse is None
        else _read_file(path, parse(path), frame, progress)
    )
    if progress is not None:
        progress(1.0)
    return volume


def scan_name(path: Path) -> str:
    """The name of a file without its scan suffix, printable, e.g. ``"t1"`` for ``t1.nii.gz``."""
    suffix = _suffix(path)
    return printable(path.name[: -len(suffix)] if suffix else path.name) or "scan"


def _suffix(path: Path) -> str:
    name = path.name.lower()
    fitting = [suffix for suffix in READABLE_SUFFIXES if name.endswith(suffix)]
    return max(fitting, key=len, default="")


def _format(path: Path) -> Callable[[Path], Layout] | None:
    """The parser of a file; None for DICOM."""
    start = Source.sniffed(path).head(_SNIFFED)
    if not start:
        raise UnreadableFile(
            "empty", where=path, expected="a scan", remedy="copy or download the file again"
        )
    by_suffix = _BY_SUFFIX.get(_suffix(path))
    for looks, parse in _BY_CONTENT:
        if looks(start):
            return parse
    if dicom.looks_like_dicom(start) or path.suffix.lower() == ".dcm":
        return None
    if by_suffix is None:
        raise UnknownFormat(
            "not a scan format that is known",
            where=path,
            expected=f"one of {', '.join(READABLE_SUFFIXES)} or a DICOM folder",
            remedy="convert the scan, for example to NIfTI",
        )
    return by_suffix


def _check_place(affine: NDArray[np.float64], path: Path) -> None:
    """Refuse voxel sizes and positions that no scanner has and no display can hold."""
    sizes, corner = spacing(affine), np.abs(affine[:3, 3])
    if sizes.min() < _SMALLEST_MM or max(sizes.max(), corner.max()) > _LARGEST_MM:
        said = ", ".join(f"{size:.3g}" for size in sizes)
        raise BadGeometry(
            f"voxels of {said} mm, the first one {corner.max():.3g} mm from the origin",
            where=path,
            expected=f"voxel sizes from {_SMALLEST_MM:g} mm, nothing beyond {_LARGEST_MM:g} mm",
            remedy="repair the header with the tool that wrote it",
        )


def _read_file(path: Path, layout: Layout, frame: int | None, progress: Progress | None) -> Volume:
    _check_place(layout.affine, path)
    voxels, rest = layout.load(frame or 0, progress)
    if layout.tail:
        mgh.check_tail(path, rest)
    notes: tuple[str, ...] = ()
    if layout.frames > 1:
        chosen = "the first" if frame is None else f"frame {frame}"
        notes = (f"the file holds {layout.frames} frames; {chosen} is shown",)
    return Volume.from_stored(
        voxels,
        layout.affine,
        # One frame taken over would keep all frames in memory.
        copy=layout.frames > 1,
        forms=layout.forms,
        slope=layout.slope,
        intercept=layout.intercept,
        name=scan_name(path),
        file_sha256=_file_sha256(path),
        frames=layout.frames,
        frame=frame or 0,
        notes=(*notes, *layout.disagreements, *layout.notes, *_value_notes(voxels)),
        disagreements=layout.disagreements,
        source=path.resolve(),
    )


def _read_dicom(path: Path, progress: Progress | None) -> Volume:
    series = dicom.read_series(path, progress)
    _check_place(series.affine, path)
    return Volume.from_stored(
        series.voxels,
        series.affine,
        copy=False,
        name=scan_name(path),
        notes=(*series.notes, *series.disagreements, *_value_notes(series.voxels)),
        disagreements=series.disagreements,
        source=path.resolve(),
    )


def _value_notes(voxels: NDArray[Any]) -> tuple[str, ...]:
    if voxels.dtype.kind != "f":
        return ()
    # A sum is finite unless a term is not, or it overflows: then look closer.
    with np.errstate(over="ignore", invalid="ignore"):
        total = voxels.sum()
    if np.isfinite(total):
        return ()
    count = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
    return (f"{count} voxels are NaN or infinite",) if count else ()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
