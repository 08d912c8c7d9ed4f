"""The files of a registration, applied by SimpleITK and scipy; and what is left when it fails."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from geometries import grids
from scipy import ndimage
from warped_pairs import cube_affine, smooth_field

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import Cancelled
from napari_mrissl.registration import Registration, RegistrationSettings, Transform, outputs
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.landmarks import COLUMNS, read_landmarks
from napari_mrissl.registration.outputs import Extras, write_registration
from napari_mrissl.volumes import Volume, read

GRIDS = [affine for _, affine in grids()]
SHAPE = (13, 15, 12)


def scan(path: Path, affine: np.ndarray, seed: int) -> Volume:
    """A smooth scan about the origin, stored with these axes."""
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    values = (100 * ndimage.gaussian_filter(noise, 1.5) + 50).astype(np.float32)
    affine = affine.copy()
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2) + (3, -2, 1)
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, 1)
    nibabel.save(image, path)
    return read(path)


def bent() -> Registration:
    linear = np.eye(4)
    linear[:3, :3] = [[0.99, 0.1, 0], [-0.1, 1.02, 0.05], [0, -0.05, 0.98]]
    linear[:3, 3] = (0.7, -0.4, 1.1)
    nodes = smooth_field(8, 1.5, 5, 2.0).astype(np.float32)
    transform = Transform(linear, Grid((8, 8, 8), cube_affine(8, 3.0)), nodes)
    return Registration(transform, np.eye(4), RegistrationSettings())


@pytest.mark.parametrize(("first", "second"), [(0, 0), (7, 60), (55, 100), (120, 33), (190, 71)])
def test_simpleitk_and_scipy_apply_the_saved_fields_to_the_same_image(tmp_path, first, second):
    fixed = scan(tmp_path / "fixed.nii.gz", GRIDS[first], 1)
    moving = scan(tmp_path / "moving.nii.gz", GRIDS[second], 2)
    out = tmp_path / "out"
    write_registration(out, bent(), fixed, moving, voxel_field=True)
    header = nibabel.load(out / outputs.DISPLACEMENT).header
    assert header.get_intent()[0] == "vector"
    assert header.get_data_shape() == (*SHAPE, 1, 3)
    images = [sitk.ReadImage(str(tmp_path / f"{name}.nii.gz")) for name in ("fixed", "moving")]
    field = sitk.ReadImage(str(out / outputs.DISPLACEMENT), sitk.sitkVectorFloat64)
    move = sitk.DisplacementFieldTransform(field)
    expected = sitk.Resample(images[1], images[0], move, sitk.sitkLinear)
    moved = sitk.ReadImage(str(out / outputs.MOVED))
    assert moved.GetSize() == images[0].GetSize()
    np.testing.assert_allclose(moved.GetOrigin(), images[0].GetOrigin(), atol=1e-4)
    expected, found = (sitk.GetArrayFromImage(image) for image in (expected, moved))
    assert np.count_nonzero(found) > 0.2 * found.size
    np.testing.assert_allclose(found, expected, atol=5e-2)
    field = np.load(out / outputs.VOXELS)
    stored = [nibabel.load(tmp_path / f"{name}.nii.gz").get_fdata() for name in ("fixed", "moving")]
    places = np.indices(SHAPE) + field
    by_scipy = ndimage.map_coordinates(stored[1], places, order=1, mode="nearest")
    inside = np.all([(p > 0) & (p < side - 1) for p, side in zip(places, SHAPE, strict=True)], 0)
    found = nibabel.load(out / outputs.MOVED).get_fdata()
    np.testing.assert_allclose(found[inside], by_scipy[inside], atol=5e-2)


def test_the_inverse_brings_points_back_through_itk(tmp_path):
    fixed = scan(tmp_path / "fixed.nii.gz", GRIDS[7], 1)
    moving = scan(tmp_path / "moving.nii.gz", GRIDS[60], 2)
    facts = write_registration(tmp_path / "out", bent(), fixed, moving)
    there, back = (
        sitk.DisplacementFieldTransform(
            sitk.ReadImage(str(tmp_path / "out" / name), sitk.sitkVectorFloat64)
        )
        for name in (outputs.DISPLACEMENT, outputs.INVERSE)
    )
    place = np.array((3.0, -2.0, 1.0)) * (-1, -1, 1)
    np.testing.assert_allclose(back.TransformPoint(there.TransformPoint(place)), place, atol=0.05)
    ras = bent().transform(place * (-1, -1, 1))[0]
    np.testing.assert_allclose(np.array(there.TransformPoint(place)) * (-1, -1, 1), ras, atol=0.05)
    assert facts["inverse_left_mm"] < 0.01
    file = tmp_path / "out" / outputs.INVERSE_FIXED
    on_fixed = sitk.DisplacementFieldTransform(sitk.ReadImage(str(file), sitk.sitkVectorFloat64))
    assert nibabel.load(file).header.get_data_shape()[:3] == SHAPE
    unbent = np.linalg.inv(bent().linear) @ [*ras, 1]
    undone = on_fixed.TransformPoint(unbent[:3] * (-1, -1, 1))
    np.testing.assert_allclose(undone, place, atol=0.05)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "out" / outputs.LINEAR), bent().linear)


def test_labels_and_landmarks_before_and_after(tmp_path):
    fixed = scan(tmp_path / "fixed.nii.gz", GRIDS[0], 1)
    shift = np.eye(4)
    shift[:3, 3] = (2, 0, 0)
    moving = Volume.from_stored(fixed.data, shift @ fixed.affine, name="moving")
    labels = np.zeros(fixed.shape, np.uint8)
    labels[4:8, 4:9, 4:9] = 3
    only_here = labels.copy()
    only_here[0, 0, 0] = 7
    found = Registration(Transform.of_linear(shift), np.eye(4), RegistrationSettings())
    marks = np.array([[[0, 0, 0], [2, 0, 0]], [[1, 2, 3], [3, 2, 4.0]]])
    extras = Extras(labels, only_here, None, marks)
    facts = write_registration(tmp_path / "out", found, fixed, moving, extras)
    assert facts["labels"]["after"] == {3: {"dice": 1.0, "hd95_mm": 0.0}}
    assert facts["labels"]["before"][3]["dice"] == pytest.approx(0.6)
    assert facts["labels"]["before"][3]["hd95_mm"] == pytest.approx(2.0)
    assert facts["landmarks"]["before"]["mean_mm"] == pytest.approx((2 + 5**0.5) / 2)
    assert facts["landmarks"]["after"] == {"mean_mm": 0.5, "largest_mm": 1.0}
    assert facts["fold_share"] == 0
    moved = read(tmp_path / "out" / outputs.LABELS_MOVED)
    np.testing.assert_array_equal(moved.data, only_here)
    written = json.loads((tmp_path / "out" / outputs.FACTS).read_text("utf-8"))
    assert written["labels"]["after"]["3"]["dice"] == 1.0
    assert str(tmp_path) not in json.dumps(written)


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    fixed = scan(tmp_path / "fixed.nii.gz", GRIDS[0], 1)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        write_registration(tmp_path / "out", bent(), fixed, fixed, cancelled=lambda: True)
    calls = iter([False, False, True])
    with pytest.raises(Cancelled):
        write_registration(tmp_path / "out", bent(), fixed, fixed, cancelled=lambda: next(calls))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_text", full)
    with pytest.raises(MrisslError, match="No space left"):
        write_registration(tmp_path / "out", bent(), fixed, fixed)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    fixed = scan(tmp_path / "fixed.nii.gz", GRIDS[0], 1)
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(MrisslError, match="not empty"):
        write_registration(out, bent(), fixed, fixed)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    write_registration(out, bent(), fixed, fixed, overwrite=True)
    assert (out / outputs.MOVED).exists()
    assert (out / "mine.txt").read_text("utf-8") == "mine"
    with pytest.raises(MrisslError, match="folder is not there"):
        write_registration(tmp_path / "no" / "out", bent(), fixed, fixed)


def test_tables_of_landmarks(tmp_path):
    path = tmp_path / "marks.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *COLUMNS])
        writer.writerow(["a", 1, 2, 3, 4, 5, 6.5])
    np.testing.assert_array_equal(read_landmarks(path), [[[1, 2, 3], [4, 5, 6.5]]])
    for text, message in (
        ("x,y\n1,2\n", "no column fixed_x"),
        (",".join(COLUMNS) + "\n1,2,3,4,5\n", "line 2"),
        (",".join(COLUMNS) + "\n1,2,3,4,5,6\n1,2,3,4,5,nan\n", "line 3"),
        (",".join(COLUMNS) + "\n", "no landmark"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(MrisslError, match=message):
            read_landmarks(path)
    with pytest.raises(MrisslError, match="could not be read"):
        read_landmarks(tmp_path / "none.csv")
