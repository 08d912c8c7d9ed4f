"""A folder of small labelled scans: bright balls of two sizes of label, noisy, in grey."""

import nibabel
import numpy as np

SIDE = 20


def voxels(number):
    """Grey values with a ball of label 1 around one of label 2."""
    random = np.random.default_rng(number)
    middle = random.uniform(8, 11, 3)
    index = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1)
    radius = np.linalg.norm(index - middle, axis=-1)
    labels = np.where(radius < 4, 2, np.where(radius < 7, 1, 0)).astype(np.uint8)
    values = np.array([100.0, 300.0, 500.0])[labels] + random.normal(0, 25, labels.shape)
    return values.clip(0).astype(np.int16), labels


def save(folder, name, values, labels, affine=None):
    """Put one scan and its labels there."""
    for part, array in (("images", values), ("labels", labels)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
        nibabel.save(image, folder / part / f"{name}.nii.gz")


def make(folder, count):
    """Scans of so many subjects."""
    for number in range(count):
        save(folder, f"person_{number:03d}", *voxels(number))
    return folder
