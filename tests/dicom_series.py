"""DICOM series for tests, written by SimpleITK."""

import numpy as np
import SimpleITK as sitk
from geometries import numbered

LPS = np.diag([-1.0, -1.0, 1.0])
SHAPE = (8, 7, 5)


def write_series(folder, affine, voxels=None, *, uid="1.2.3", skip=(), shared=None, **edits):
    """A series on a grid given in RAS; ``edits`` change tags of slice 2, ``shared`` of all."""
    folder.mkdir(exist_ok=True)
    voxels = numbered(SHAPE) if voxels is None else voxels
    axes = LPS @ affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(voxels.shape[2]):
        if k in skip:
            continue
        image = sitk.GetImageFromArray(voxels[:, :, k].T, isVector=voxels.ndim == 4)
        image.SetSpacing(spacing[:2].tolist())
        origin = LPS @ affine[:3, 3] + k * axes[:, 2]
        tags = {
            "0008|0060": "MR",
            "0008|0018": f"{uid}.{k + 1}",
            "0020|000d": "1.2.9",
            "0020|000e": uid,
            "0020|0013": str(k),
            "0018|0050": f"{spacing[2]:.6f}",
            "0020|0032": "\\".join(f"{v:.6f}" for v in origin),
            "0020|0037": "\\".join(f"{v:.9f}" for v in (axes[:, :2] / spacing[:2]).T.ravel()),
        }
        tags |= shared or {}
        tags |= edits if k == 2 else {}
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}-{k:02d}.dcm"))
        writer.Execute(image)
    return folder
