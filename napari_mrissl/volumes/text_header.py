"""What the text headers of NRRD and MetaImage have in common."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import as_affine, lps_to_ras
from napari_mrissl.volumes.errors import (
    BadGeometry,
    DamagedHeader,
    ScanError,
    UnreadableFile,
    UnsupportedVoxels,
)

LARGEST_HEADER = 2**20
"""Bytes of text after which a header is taken for damaged."""


def header_fault(path: Path, field: str, found: object, expected: str) -> DamagedHeader:
    """The error of a field that is missing or makes no sense."""
    return DamagedHeader(
        str(found)[:80],
        where=path,
        field=field,
        expected=expected,
        remedy="copy or download the file again, or repair its header",
    )


def unsupported(path: Path, field: str, found: object, expected: str) -> ScanError:
    """The error of a field with a legal value that we do not read."""
    return UnsupportedVoxels(
        str(found)[:80],
        where=path,
        field=field,
        expected=expected,
        remedy="convert the scan, for example to NIfTI",
    )


def whole_numbers(path: Path, field: str, text: str) -> list[int]:
    """The positive whole numbers of a field."""
    try:
        numbers = [int(word) for word in text.split()]
    except ValueError as error:
        raise header_fault(path, field, text, "whole numbers") from error
    if not numbers or min(numbers) < 1:
        raise header_fault(path, field, text, "whole numbers of at least 1")
    return numbers


def real_numbers(path: Path, field: str, text: str, count: int) -> NDArray[np.float64]:
    """Exactly ``count`` numbers of a field."""
    try:
        numbers = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise header_fault(path, field, text, f"{count} numbers") from error
    if numbers.size != count:
        raise header_fault(path, field, text, f"{count} numbers")
    return numbers


def neighbour(path: Path, field: str, name: str) -> Path:
    """The data file that a header names, which must lie in the header's own folder.

    Raises
    ------
    DamagedHeader
        If the name points elsewhere.
    UnreadableFile
        If there is no such file.
    """
    plain = PurePosixPath(name).name == name and PureWindowsPath(name).name == name
    if not plain or name in ("", ".", "..") or "\0" in name:
        raise header_fault(path, field, name, "the plain name of a file in the same folder")
    candidate = path.with_name(name)
    # os.path answers "no" where pathlib raises, e.g. for a name that is too long.
    if not os.path.isfile(candidate):
        raise UnreadableFile(
            f"{name[:80]}, which is not there",
            where=path,
            field=field,
            expected="both files in one folder",
            remedy="put the data file beside the header",
        )
    return candidate


def affine_from_lps(
    path: Path, field: str, axes: NDArray[np.float64], origin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Index-to-RAS affine (4, 4) of axis vectors (columns) and origin in LPS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = axes
    matrix[:3, 3] = origin
    try:
        return as_affine(lps_to_ras(matrix))
    except MrisslError as error:
        raise BadGeometry(
            error.found,
            where=path,
            field=field,
            expected="three independent finite axes",
            remedy="repair the header with the tool that wrote it",
        ) from error
