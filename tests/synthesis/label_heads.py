"""Small label maps of a head-like body in FreeSurfer's numbering, stored in (L, I, A) order."""

from pathlib import Path

import nibabel
import numpy as np

SPACING = 4.0
MIDDLE = (6.0, -14.0, 22.0)
"""World RAS mm of the body's centre."""


def label_head(size: float = 1.0) -> nibabel.Nifti1Image:
    """Shells of skin, soft tissue, bone and fluid around two hemispheres, 4 mm voxels."""
    shape = np.array((56, 64, 60))
    affine = np.array([[-1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    affine[:3, :3] *= SPACING
    affine[:3, 3] = np.array(MIDDLE) - affine[:3, :3] @ ((shape - 1) / 2)
    index = np.moveaxis(np.indices(shape), 0, -1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3] - MIDDLE, -1, 0)
    away = np.sqrt((x / 75) ** 2 + (y / 95) ** 2 + (z / 90) ** 2) / size
    labels = np.zeros(shape, np.uint16)
    for limit, number in ((1.0, 511), (0.94, 507), (0.8, 515), (0.72, 24), (0.66, 3), (0.45, 2)):
        labels[away < limit] = number
    right = x > 0
    labels[right & (labels == 3)] = 42
    labels[right & (labels == 2)] = 41
    return nibabel.Nifti1Image(labels, affine)


def write_label_heads(folder: Path, count: int) -> Path:
    """``count`` such maps of different sizes."""
    folder.mkdir()
    for number in range(count):
        nibabel.save(label_head(0.9 + 0.03 * number), folder / f"Doe_Jane_{number}.nii.gz")
    return folder
