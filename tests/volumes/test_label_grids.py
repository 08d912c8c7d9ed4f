"""Grids are compared in world, however files store them; labels are whole numbers."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes import read
from napari_mrissl.volumes.labels import check_grid, whole_numbers

LABELS = np.random.default_rng(0).integers(0, 3, (7, 8, 9)).astype(np.uint8)
AFFINE = np.array([[-1.0, 0, 0, 30], [0, 0.9, 0, -40], [0, 0, 2.0, 7], [0, 0, 0, 1]])


def saved(path, array=LABELS, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return read(path)


def test_the_same_grid_stored_otherwise_is_the_same(tmp_path):
    one = saved(tmp_path / "one.nii.gz")
    image = nibabel.Nifti1Image(LABELS, AFFINE)
    turned = image.as_reoriented([[1, -1], [2, 1], [0, -1]])
    nibabel.save(turned, tmp_path / "turned.nii.gz")
    other = read(tmp_path / "turned.nii.gz")
    assert nibabel.aff2axcodes(turned.affine) != nibabel.aff2axcodes(AFFINE)
    check_grid(one, other, Path("x"), "the other")
    np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"affine": AFFINE + np.diag([0, 0, 0, 0]) + [[0, 0, 0, 0.2], *[[0] * 4] * 3]}, "0.2 mm"),
        # A direction that is off by a thousandth is off by less than a voxel, and still.
        ({"affine": AFFINE * [[1.02] * 4, [1] * 4, [1] * 4, [1] * 4]}, "mm away"),
        ({"array": LABELS[:, :, :8]}, "voxels, not"),
    ],
)
def test_another_grid_is_refused(tmp_path, change, sentence):
    one, other = saved(tmp_path / "one.nii.gz"), saved(tmp_path / "other.nii.gz", **change)
    with pytest.raises(MrisslError, match=r"pred\.nii: is on another grid than its scan") as said:
        check_grid(other, one, Path("pred.nii"), "its scan")
    assert sentence in str(said.value)


def test_rounding_in_a_header_is_no_other_grid(tmp_path):
    one = saved(tmp_path / "one.nii.gz")
    other = saved(tmp_path / "other.nii.gz", affine=AFFINE + 1e-5)
    check_grid(other, one, Path("x"), "its scan")


def test_labels_stored_as_whole_floats_are_integers(tmp_path):
    found = whole_numbers(saved(tmp_path / "f.nii.gz", LABELS.astype(np.float32)), Path("x"))
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, saved(tmp_path / "i.nii.gz").data)
    for bad in (0.5, np.nan):
        odd = LABELS.astype(np.float32)
        odd[2, 2, 2] = bad
        with pytest.raises(MrisslError, match="no whole numbers"):
            whole_numbers(saved(tmp_path / "odd.nii.gz", odd), Path("x"))
