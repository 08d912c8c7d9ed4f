"""Reading a DICOM series, a folder or any one of its files, through SimpleITK."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import as_affine, lps_to_ras
from napari_mrissl.volumes.budget import check_voxels
from napari_mrissl.volumes.errors import (
    BadGeometry,
    DamagedHeader,
    DamagedStream,
    MissingReader,
    UnknownFormat,
    UnreadableFile,
    UnsupportedVoxels,
)
from napari_mrissl.volumes.streams import Progress

_POSITION, _ORIENTATION, _SPACING = "0020|0032", "0020|0037", "0028|0030"
_THICKNESS, _SAMPLES, _BITS, _SYNTAX = "0018|0050", "0028|0002", "0028|0100", "0002|0010"
# Transfer syntaxes that store voxels as they are, so that their length is known.
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_UNEVEN = 0.05


@dataclass(frozen=True, slots=True)
class Series:
    """One DICOM series: voxels in stored order, affine to RAS mm, notes, disagreements."""

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    notes: tuple[str, ...]
    disagreements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Slice:
    path: Path
    size: tuple[int, ...]
    tags: dict[str, str]

    def numbers(self, tag: str, count: int) -> NDArray[np.float64]:
        text = self.tags.get(tag, "")
        try:
            numbers = np.array([float(word) for word in text.split("\\")])
        except ValueError:
            numbers = np.empty(0)
        if numbers.size != count or not np.isfinite(numbers).all():
            raise DamagedHeader(
                repr(text[:60]),
                where=self.path,
                field=f"DICOM tag ({tag.replace('|', ',')})",
                expected=f"{count} numbers",
                remedy="export the series again",
            )
        return numbers


def looks_like_dicom(start: bytes) -> bool:
    """Whether bytes carry DICOM's magic behind the 128-byte preamble."""
    return start[128:132] == b"DICM"


def read_series(path: Path, progress: Progress | None = None) -> Series:
    """The series in a folder, or the one that a file belongs to.

    Of several series in a folder the one with most slices is read; a note says so.

    Raises
    ------
    MissingReader
        If SimpleITK is not installed.
    ScanError
        If there is no series, or its slices do not make a regular grid.
    """
    sitk = _simpleitk()
    with _quiet(sitk):
        files, notes = _files(sitk, path)
        slices = [_inspect(sitk, file) for file in files]
        _check_alike(slices, path)
        if len(slices) == 1 and len(slices[0].size) == 3 and slices[0].size[2] > 1:
            image = _execute(sitk.ImageFileReader(), [str(files[0])], path)
            return Series(_voxels(sitk, image), _image_affine(image, path), notes)
        affine, disagreements = _geometry(slices, path)
        reader = sitk.ImageSeriesReader()
        if progress is not None:
            reader.AddCommand(sitk.sitkProgressEvent, lambda: progress(reader.GetProgress()))
        voxels = _voxels(sitk, _execute(reader, [str(file) for file in files], path))
    return Series(voxels, affine, notes, disagreements)


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise MissingReader(
            "reading DICOM needs SimpleITK, which is not installed",
            remedy='run: pip install "napari-mrissl[dicom]"',
        ) from error
    return SimpleITK


@contextmanager
def _quiet(sitk: Any) -> Iterator[None]:
    """Keep GDCM's remarks on private tags off the terminal, for now."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)


def _files(sitk: Any, path: Path) -> tuple[list[Path], tuple[str, ...]]:
    folder = path if path.is_dir() else path.parent
    _check_members(folder)
    finder = sitk.ImageSeriesReader
    series = {
        name: [Path(file) for file in finder.GetGDCMSeriesFileNames(str(folder), name)]
        for name in finder.GetGDCMSeriesIDs(str(folder))
    }
    if path.is_dir():
        chosen = max(series.values(), key=len, default=[])
    else:
        real = path.resolve()
        own = [files for files in series.values() if real in {f.resolve() for f in files}]
        chosen = own[0] if own else []
    if not chosen:
        raise UnknownFormat(
            "no DICOM series",
            where=path,
            expected="the slices of a DICOM series in one folder",
            remedy="choose the folder that holds the .dcm files themselves",
        )
    if len(series) == 1:
        return chosen, ()
    note = f"the folder holds {len(series)} DICOM series; the one with {len(chosen)} files was read"
    return chosen, (note,)


def _check_members(folder: Path) -> None:
    """Refuse a folder with pipes or devices: whoever opens them to look may wait forever."""
    try:
        for member in folder.iterdir():
            # Links are followed: one may lead to a device.
            if os.path.exists(member) and not (os.path.isfile(member) or os.path.isdir(member)):
                raise UnreadableFile(
                    "a pipe, socket or device",
                    where=member,
                    expected="only files in a folder of DICOM slices",
                    remedy="move it out of the folder",
                )
    except OSError as error:
        raise UnreadableFile(
            f"cannot be listed ({error.strerror or type(error).__name__})",
            where=folder,
            expected="a readable folder",
            remedy="check the permissions",
        ) from error


def _inspect(sitk: Any, file: Path) -> _Slice:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(file) from error
    wanted = (_POSITION, _ORIENTATION, _SPACING, _THICKNESS, _SAMPLES, _BITS, _SYNTAX)
    tags = {tag: reader.GetMetaData(tag).strip() for tag in wanted if reader.HasMetaDataKey(tag)}
    return _Slice(file, tuple(reader.GetSize()), tags)


def _check_alike(slices: list[_Slice], path: Path) -> None:
    first = slices[0]
    bytes_each = 0
    for item in slices:
        if item.tags.get(_SAMPLES, "1") != "1":
            raise UnsupportedVoxels(
                "colour",
                where=item.path,
                field="DICOM voxels",
                expected="one number per voxel",
                remedy="choose a series in shades of grey",
            )
        if item.size != first.size:
            raise BadGeometry(
                f"slices of {item.size[:2]} and {first.size[:2]} voxels",
                where=path,
                expected="slices of one size",
                remedy="move the slices of each series to a folder of their own",
            )
        bits = int(item.tags.get(_BITS, "16"))
        bytes_each = int(np.prod(item.size)) * bits // 8
        if item.tags.get(_SYNTAX) in _UNCOMPRESSED and item.path.stat().st_size < bytes_each:
            raise _unreadable(item.path)
    check_voxels(bytes_each * len(slices), path)


def _geometry(slices: list[_Slice], path: Path) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    first = slices[0]
    cosines = first.numbers(_ORIENTATION, 6)
    right, down = cosines[:3], cosines[3:]
    row_spacing, column_spacing = first.numbers(_SPACING, 2)
    normal = np.cross(right, down)
    positions = np.array([item.numbers(_POSITION, 3) for item in slices])
    tilted = [i for i in slices if np.abs(i.numbers(_ORIENTATION, 6) - cosines).max() > 1e-3]
    if tilted:
        raise _irregular(path, "slices in several orientations")
    if len(slices) == 1:
        step = normal * first.numbers(_THICKNESS, 1)
    else:
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
    depths = positions @ normal
    gaps = np.diff(depths)
    if gaps.size and np.abs(gaps).min() < 1e-3:
        raise _irregular(path, "several images at one position, such as a time series")
    if gaps.size and np.ptp(gaps) > _UNEVEN * np.abs(np.median(gaps)):
        low, high = np.abs(gaps).min(), np.abs(gaps).max()
        raise _irregular(path, f"slice distances from {low:.3g} to {high:.3g} mm")
    affine = np.eye(4)
    affine[:3, :3] = np.stack([right * column_spacing, down * row_spacing, step], axis=1)
    affine[:3, 3] = positions[0]
    disagreements: tuple[str, ...] = ()
    length = np.linalg.norm(step)
    if np.linalg.norm(np.cross(step, normal)) > 1e-2 * length:
        # ITK stacks the slices along their normal, at the distance of their corners.
        itk_step = normal * np.copysign(length, step @ normal)
        apart = float(np.linalg.norm(step - itk_step)) * (len(slices) - 1)
        said = (
            "slices are shifted against each other (gantry tilt), as shown here; ITK programs "
            f"ignore that and put the last slice {apart:.3g} mm from here"
        )
        disagreements = (said,)
    return _checked(affine, path), disagreements


def _image_affine(image: Any, path: Path) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return _checked(affine, path)


def _checked(affine_lps: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    try:
        return as_affine(lps_to_ras(affine_lps))
    except MrisslError as error:
        raise _irregular(path, error.found) from error


def _execute(reader: Any, files: list[str], path: Path) -> Any:
    if len(files) == 1:
        reader.SetImageIO("GDCMImageIO")
    (reader.SetFileNames if hasattr(reader, "SetFileNames") else reader.SetFileName)(
        files if hasattr(reader, "SetFileNames") else files[0]
    )
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise _unreadable(path) from error


def _voxels(sitk: Any, image: Any) -> NDArray[Any]:
    voxels: NDArray[Any] = sitk.GetArrayFromImage(image)
    return voxels.transpose()


def _unreadable(path: Path) -> DamagedStream:
    return DamagedStream(
        "damaged or cut short",
        where=path,
        field="DICOM file",
        expected="whole DICOM files",
        remedy="copy or export the series again",
    )


def _irregular(path: Path, found: str) -> BadGeometry:
    return BadGeometry(
        found,
        where=path,
        expected="parallel slices at equal distances, one per position",
        remedy="check that no slice is missing, or convert the series to NIfTI",
    )
