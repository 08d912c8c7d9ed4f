"""Where a NIfTI header puts its voxels, and where another reader would put them.

The rules are nibabel's (sform, else qform, else none), made strict: what nibabel lets
pass silently is refused or noted. ITK follows other rules; where they lead more than
0.1 mm away, or to the other hand, both readings are noted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine, as_affine, axis_codes, spacing
from napari_mrissl.volumes.errors import BadGeometry
from napari_mrissl.volumes.nifti_header import NiftiHeader
from napari_mrissl.volumes.volume import NiftiForms

SPACE_UNITS = {0: "unknown", 1: "m", 2: "mm", 3: "um"}
_MILLIMETRES = {"unknown": 1.0, "m": 1000.0, "mm": 1.0, "um": 0.001}
_DISAGREEMENT_MM = 0.1
_SWAPPED = ", left and right swapped"
# nibabel's tolerance for quaternions slightly longer than 1 in float32.
_QUATERNION_SLACK = 3 * float(np.finfo(np.float32).eps)

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a header puts its voxels.

    Attributes
    ----------
    affine
        (4, 4) from stored index to RAS mm.
    forms
        The header's own geometry, to carry along.
    notes
        What the user should know.
    disagreements
        Where nibabel or ITK would put the voxels otherwise, both readings in a sentence.
    """

    affine: Matrix
    forms: NiftiForms
    notes: tuple[str, ...]
    disagreements: tuple[str, ...]


def locate(header: NiftiHeader, shape: tuple[int, int, int], where: Path) -> Place:
    """The place in RAS mm that a header gives its voxels.

    Raises
    ------
    BadGeometry
        If the header has forms and none of them is usable, or has no form and no
        usable voxel size.
    """
    fields = header.fields
    pixdim = np.asarray(fields["pixdim"], np.float64)
    unit_code = int(fields["xyzt_units"]) & 7
    unit = SPACE_UNITS.get(unit_code, "unknown")
    sform_code, qform_code = int(fields["sform_code"]), int(fields["qform_code"])
    sform, sform_fault = _sform(fields) if sform_code > 0 else (None, None)
    qform, qform_fault = _qform(fields, pixdim) if qform_code > 0 else (None, None)
    notes = [note for note in (sform_fault, qform_fault) if note]
    if sform is not None:
        affine, used = sform, "sform"
    elif qform is not None:
        affine, used = qform, "qform"
    elif notes:
        raise BadGeometry(
            " and ".join(notes),
            where=where,
            expected="an invertible sform or a valid qform",
            remedy="repair the header with the tool that wrote it",
        )
    else:
        affine, used = _no_form(pixdim, shape, where), "neither form"
        notes.append(
            "the file says nothing about orientation (sform and qform codes are 0): "
            "left and right are a guess (nibabel's default: axes L, A, S, centred)"
        )
    disagreements = []
    if sform_fault and qform is not None:
        disagreements.append(
            f"the qform was used instead of the sform: {_say(qform)}; nibabel keeps the sform, "
            "by which the voxels have no place"
        )
    scale = _MILLIMETRES[unit]
    if unit_code not in SPACE_UNITS:
        notes.append(f"unit code {unit_code} is unknown: millimetres are assumed")
    elif scale != 1:
        disagreements.append(
            f"coordinates are stored in {unit} and were converted to mm, as ITK does; "
            "nibabel shows them unconverted"
        )
    who = "this program" if sform_fault else "nibabel"
    disagreements += _second_reading(
        fields, pixdim, affine, (who, used), (sform, qform), shape, scale
    )
    to_mm = np.diag([scale, scale, scale, 1.0])
    forms = NiftiForms(
        qform,
        qform_code if qform is not None else 0,
        sform,
        sform_code if sform is not None else 0,
        unit,
        header.version,
        int(fields["intent_code"]),
    )
    return Place(as_affine(to_mm @ affine), forms, tuple(notes), tuple(disagreements))


def _sform(fields: Any) -> tuple[Matrix | None, str | None]:
    matrix = np.vstack([np.asarray(fields["srow"], np.float64), [0, 0, 0, 1]])
    try:
        return as_affine(matrix), None
    except MrisslError as error:
        return None, error.found.replace("affine", "sform")


def _qform(fields: Any, pixdim: Matrix) -> tuple[Matrix | None, str | None]:
    quatern = np.asarray(fields["quatern"], np.float64)
    # Negative sizes are read as positive, like nibabel does; the note comes later.
    zooms = np.abs(pixdim[1:4])
    if not np.isfinite(quatern).all() or 1 - quatern @ quatern < -_QUATERNION_SLACK:
        return None, "qform quaternion is longer than 1 or not finite"
    matrix = _from_quaternion(quatern, np.asarray(fields["qoffset"], np.float64))
    matrix[:3, :3] *= zooms * [1, 1, -1 if pixdim[0] == -1 else 1]
    try:
        return as_affine(matrix), None
    except MrisslError as error:
        return None, error.found.replace("affine", "qform")


def _from_quaternion(quatern: Matrix, offset: Matrix) -> Matrix:
    """Rotation and offset of a NIfTI quaternion, whose real part is implied."""
    length = float(quatern @ quatern)
    if length > 1:
        quatern, real = quatern / np.sqrt(length), 0.0
    else:
        real = float(np.sqrt(1 - length))
    b, c, d = quatern
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (c * c + d * d), 2 * (b * c - real * d), 2 * (b * d + real * c)],
        [2 * (b * c + real * d), 1 - 2 * (b * b + d * d), 2 * (c * d - real * b)],
        [2 * (b * d - real * c), 2 * (c * d + real * b), 1 - 2 * (b * b + c * c)],
    ]
    matrix[:3, 3] = offset
    return matrix


def _no_form(pixdim: Matrix, shape: tuple[int, int, int], where: Path) -> Matrix:
    zooms = np.abs(pixdim[1:4]) * [-1, 1, 1]
    affine = np.diag([*zooms, 1.0])
    affine[:3, 3] = -zooms * (np.array(shape) - 1) / 2
    try:
        return as_affine(affine)
    except MrisslError as error:
        raise BadGeometry(
            f"{pixdim[1:4].tolist()}",
            where=where,
            field="pixdim",
            expected="three voxel sizes > 0, as there is no sform or qform",
            remedy="repair the header with the tool that wrote it",
        ) from error


def itk_affine(
    fields: Any, pixdim: Matrix, sform: Matrix | None, qform: Matrix | None
) -> Matrix | None:
    """The affine (file units) that ITK 5 makes of a header; None where it refuses.

    ITK takes an orthonormal sform with code 1 (scanner), else any qform, else an
    orthonormal sform, else LPS; the voxel sizes are pixdim's, sign included.
    """
    zooms = np.where(np.isfinite(pixdim[1:4]), pixdim[1:4], 1.0)
    square = sform is not None and _orthonormal(sform)
    quatern = np.asarray(fields["quatern"], np.float64)
    if square and (int(fields["sform_code"]) == 1 or int(fields["qform_code"]) <= 0):
        base = sform
    elif int(fields["qform_code"]) > 0 and np.isfinite(quatern).all():
        base = _from_quaternion(quatern, np.asarray(fields["qoffset"], np.float64))
        base[:3, 2] *= -1 if pixdim[0] < 0 else 1
    elif int(fields["sform_code"]) > 0:
        return None
    else:
        base = np.diag([-1.0, -1.0, 1.0, 1.0])
    if base is None or (zooms == 0).any():
        return None
    reading = base.copy()
    reading[:3, :3] = base[:3, :3] / spacing(base) * zooms
    return reading


def _second_reading(
    fields: Any,
    pixdim: Matrix,
    ours: Matrix,
    who_used: tuple[str, str],
    forms: tuple[Matrix | None, Matrix | None],
    shape: tuple[int, int, int],
    scale: float,
) -> list[str]:
    """Sentences with both readings where another reader or the other form disagrees."""
    who, used = who_used
    sform, qform = forms
    ours_said = f"{_say(ours)} ({used}, used here)"
    if (np.asarray(pixdim[1:4]) < 0).any():
        sizes = ", ".join(f"{z:g}" for z in pixdim[1:4])
        reason = f"negative voxel size in pixdim ({sizes})"
    elif sform is not None and not _orthonormal(sform):
        reason = "sform is sheared"
    else:
        reason = "the header can be read in two ways"
    if sform is not None and qform is not None and int(fields["sform_code"]) != 1:
        hand = _flipped(sform, qform)
        if hand is not None:
            gap = _distance(sform, qform, shape) * scale
            note = (
                f"sform and qform run against each other: {who} reads {ours_said}, ITK programs "
                f"read that or the qform, {_say(qform)}, up to {gap:.3g} mm apart{hand}"
            )
            return [note]
    itk = itk_affine(fields, pixdim, sform, qform)
    if itk is None:
        return [f"{reason}: {who} reads {ours_said}; ITK programs refuse the file"]
    gap = _distance(ours, itk, shape) * scale
    mirrored = np.linalg.det(ours[:3, :3]) * np.linalg.det(itk[:3, :3]) < 0
    if gap > _DISAGREEMENT_MM or mirrored:
        hand = _SWAPPED if mirrored else ""
        note = (
            f"{reason}: {who} reads {ours_said}, ITK programs read {_say(itk)}, "
            f"up to {gap:.3g} mm apart{hand}"
        )
        return [note]
    if sform is not None and qform is not None:
        gap = _distance(sform, qform, shape) * scale
        if gap > _DISAGREEMENT_MM:
            note = (
                f"sform and qform disagree by up to {gap:.3g} mm: sform {_say(sform)} "
                f"(used here and by nibabel and ITK), qform {_say(qform)}"
            )
            return [note]
    return []


def _flipped(sform: Matrix, qform: Matrix) -> str | None:
    """What to say of two forms that differ in the direction of array axes alone, else None.

    ITK compares the left singular vectors of both, whose signs are left to chance: it takes
    such forms for alike, and then the sform, or for different, and then the qform.
    """
    turn = np.linalg.solve(qform[:3, :3], sform[:3, :3])
    alike = np.allclose(np.abs(turn), np.eye(3), atol=1e-3)
    if not alike or np.trace(turn) > 2 or not np.allclose(sform[:, 3], qform[:, 3], atol=1e-3):
        return None
    return _SWAPPED if np.linalg.det(turn) < 0 else ""


def _orthonormal(matrix: Matrix) -> bool:
    unit = matrix[:3, :3] / spacing(matrix)
    return bool(np.allclose(unit.T @ unit, np.eye(3), atol=1e-4))


def _distance(first: Matrix, second: Matrix, shape: tuple[int, int, int]) -> float:
    """Largest distance between the eight corners of a grid placed in two ways."""
    corners = np.indices((2, 2, 2)).reshape(3, 8).T * (np.array(shape) - 1)
    apart = apply_affine(first, corners) - apply_affine(second, corners)
    return float(np.linalg.norm(apart, axis=1).max())


def _say(matrix: Matrix) -> str:
    x, y, z = matrix[:3, 3]
    return f"axes {axis_codes(matrix)} with the first voxel at ({x:.2f}, {y:.2f}, {z:.2f})"
