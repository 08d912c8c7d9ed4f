"""The files of a registration: images and fields on the scans' own grids, and all figures.

Conventions. ``displacement.nii.gz`` is what ITK and ANTs read as a displacement field: on the fixed
scan's grid, NIfTI vector intent (1007), components x, y, z in **LPS** mm, pointing from the place
in the fixed scan to the place in the moving scan, so that
``SimpleITK.Resample(moving, fixed, SimpleITK.DisplacementFieldTransform(field))`` is the moved
image. ``inverse_displacement.nii.gz`` is the same from the moving to the fixed scan, linear part
and all, and lies on the moving scan's grid: it moves the fixed image onto the moving one at one
go. ``inverse_displacement_fixed_grid.nii.gz`` undoes the field alone and lies on the fixed scan's
grid, as ANTs' InverseWarp does: first take a moving place through the inverse of the linear part,
then add this; where there is no linear part, that is all. ``displacement_voxels.npy``, where asked
for, is scipy's: (3, X, Y, Z) float32 in voxels, both scans in the axes of their files, so that
``map_coordinates(moving, np.indices(fixed.shape) + field)`` is the moved image. ``linear.txt`` is
the linear part, from fixed to moving place, in **RAS** mm.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.registering import Registration
from napari_mrissl.registration.scores import fold_share, label_scores, landmark_scores
from napari_mrissl.registration.transform import Field, jacobian, warped, warped_labels
from napari_mrissl.volumes import Volume, write_image, write_labels, write_vectors
from napari_mrissl.volumes.atomic import sync_folder, write_atomically, write_text

MOVED, LABELS_MOVED = "moved.nii.gz", "labels_moved.nii.gz"
DISPLACEMENT, INVERSE = "displacement.nii.gz", "inverse_displacement.nii.gz"
INVERSE_FIXED = "inverse_displacement_fixed_grid.nii.gz"
JACOBIAN, LINEAR = "jacobian.nii.gz", "linear.txt"
VOXELS, FACTS = "displacement_voxels.npy", "registration.json"

_LPS = np.array([-1, -1, 1], np.float32)


@dataclass(frozen=True, eq=False)
class Extras:
    """What may be known of the two scans beside their voxels.

    Attributes
    ----------
    fixed_labels, moving_labels
        (S, A, R) whole numbers from 0 on the scans' grids.
    fixed_mask
        (S, A, R) in which folds are counted; everywhere where left out.
    landmarks
        (N, 2, 3) places in the fixed and in the moving scan, RAS mm.
    """

    fixed_labels: NDArray[Any] | None = None
    moving_labels: NDArray[Any] | None = None
    fixed_mask: NDArray[np.bool_] | None = None
    landmarks: NDArray[np.float64] | None = field(default=None)


def check_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that cannot take the files, before any work.

    Raises
    ------
    MrisslError
        If the folder above it is not there, or it is a file or holds something already.
    """
    if not os.path.isdir(folder.absolute().parent):
        raise MrisslError(
            "folder is not there", where=folder.absolute().parent, remedy="make the folder first"
        )
    if not os.path.exists(folder):
        return
    if not os.path.isdir(folder):
        raise MrisslError("is a file", where=folder, expected="a folder")
    if os.listdir(folder) and not overwrite:
        raise MrisslError(
            "is not empty", where=folder, remedy="choose another folder or allow overwriting"
        )


def write_registration(
    folder: str | Path,
    found: Registration,
    fixed: Volume,
    moving: Volume,
    extras: Extras | None = None,
    *,
    voxel_field: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> dict[str, Any]:
    """Write everything, or nothing, and return the figures of ``registration.json``.

    Raises
    ------
    Cancelled
        If `cancelled` answered True; nothing is left.
    MrisslError
        If the folder cannot be used, or the disk refuses.
    """
    target = Path(folder)
    check_folder(target, overwrite=overwrite)
    unfinished = target.absolute().with_name(f".mrissl-{os.getpid()}-{target.name[:80]}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir()
        job = _Files(unfinished, found, fixed, moving, extras or Extras())
        facts = job.write(voxel_field, progress, cancelled)
        _finish(unfinished, target)
    except OSError as error:
        raise MrisslError(
            f"could not be written ({error.strerror or type(error).__name__})",
            where=target,
            remedy="choose another folder or free some space",
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return facts


def _finish(unfinished: Path, target: Path) -> None:
    if not target.exists() or not os.listdir(target):
        os.replace(unfinished, target.absolute())
    else:
        for path in unfinished.iterdir():
            os.replace(path, target / path.name)
    sync_folder(target.absolute().parent)


@dataclass(frozen=True, eq=False)
class _Files:
    folder: Path
    found: Registration
    fixed: Volume
    moving: Volume
    extras: Extras

    def write(
        self, voxel_field: bool, progress: Progress | None, cancelled: IsCancelled | None
    ) -> dict[str, Any]:
        done = iter(np.linspace(0, 1, 8)[:-1])

        def say(step: str) -> None:
            stop_if(cancelled)
            if progress is not None:
                progress(float(next(done)), step)

        say("moved image")
        grid, transform = Grid.of(self.fixed), self.found.transform
        displacements = transform.displacements(grid)
        self._write_moved(displacements, grid)
        say("field")
        write_vectors(self.folder / DISPLACEMENT, displacements * _LPS, self.fixed)
        if voxel_field:
            self._write_voxels(displacements, grid)
        say("inverse")
        inverse, left_mm = transform.inverse_displacements(Grid.of(self.moving))
        write_vectors(self.folder / INVERSE, inverse * _LPS, self.moving)
        bent = replace(transform, linear=np.eye(4))
        inverse, left_of_field_mm = bent.inverse_displacements(grid)
        write_vectors(self.folder / INVERSE_FIXED, inverse * _LPS, self.fixed)
        del inverse
        left_mm = max(left_mm, left_of_field_mm)
        say("Jacobian")
        determinants = jacobian(displacements, grid)
        write_image(self.folder / JACOBIAN, determinants, self.fixed)
        rows = (" ".join(f"{v:.17g}" for v in row) for row in self.found.linear)
        write_text(self.folder / LINEAR, "\n".join(rows) + "\n")
        say("figures")
        facts = self._facts(displacements, determinants, left_mm)
        write_text(self.folder / FACTS, json.dumps(facts, indent=1, allow_nan=False) + "\n")
        return facts

    def _write_moved(self, displacements: Field, grid: Grid) -> None:
        moved = warped(self.moving, displacements, grid)
        write_image(self.folder / MOVED, moved, self.fixed)
        labels = self.extras.moving_labels
        if labels is not None:
            moved_labels = warped_labels(labels, self.moving, displacements, grid)
            write_labels(self.folder / LABELS_MOVED, moved_labels, self.fixed)

    def _write_voxels(self, displacements: Field, grid: Grid) -> None:
        """scipy's convention; see the module."""
        stored = np.stack(
            [self.fixed.to_stored(part) for part in np.moveaxis(displacements, -1, 0)], axis=-1
        )
        own = np.moveaxis(np.indices(stored.shape[:3]), 0, -1)
        places = apply_affine(self.fixed.stored.affine, own) + stored
        there = apply_affine(np.linalg.inv(self.moving.stored.affine), places)
        voxels = np.ascontiguousarray(np.moveaxis(there - own, -1, 0), np.float32)
        write_atomically(
            self.folder / VOXELS, lambda file: np.save(file, voxels, allow_pickle=False)
        )

    def _facts(
        self, displacements: Field, determinants: NDArray[np.float32], left_mm: float
    ) -> dict[str, Any]:
        extras, found = self.extras, self.found
        facts: dict[str, Any] = {
            "software": f"napari-mrissl {__version__}",
            "fixed": self.fixed.identity,
            "moving": self.moving.identity,
            "settings": found.settings.model_dump(mode="json"),
            "linear": found.linear.tolist(),
            "initial": found.initial.tolist(),
            "spacing_mm": found.spacing_mm,
            "largest_displacement_mm": float(np.linalg.norm(displacements, axis=-1).max()),
            "fold_share": fold_share(determinants, extras.fixed_mask),
            "jacobian": {"least": float(determinants.min()), "most": float(determinants.max())},
            "inverse_left_mm": left_mm,
            "seconds": {name: round(value, 3) for name, value in found.seconds.items()},
            "costs": [list(cost) for cost in found.costs],
        }
        if extras.fixed_labels is not None and extras.moving_labels is not None:
            facts["labels"] = label_scores(
                self.fixed,
                extras.fixed_labels,
                self.moving,
                extras.moving_labels,
                found.transform,
            )
        if extras.landmarks is not None:
            facts["landmarks"] = landmark_scores(extras.landmarks, found.transform)
        return facts
