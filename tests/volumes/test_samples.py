"""Sample scans: nilearn's template and maps, and the phantom's known geometry."""

import sys

import nibabel as nib
import numpy as np
import pytest
from nilearn import datasets

from napari_mrissl.errors import MrisslError
from napari_mrissl.volumes import read, samples, write_image

pytestmark = pytest.mark.filterwarnings("ignore:::nilearn")


@pytest.fixture(scope="module")
def nilearns():
    loaders = (
        datasets.load_mni152_template,
        datasets.load_mni152_gm_template,
        datasets.load_mni152_wm_template,
        datasets.load_mni152_brain_mask,
    )
    return [load(resolution=1) for load in loaders]


def test_the_template_is_nilearns(nilearns):
    t1 = samples.mni152()
    image = nilearns[0]
    np.testing.assert_allclose(t1.to_stored(t1.data) / 255, image.get_fdata(), atol=1e-6)
    np.testing.assert_allclose(t1.stored.affine, image.affine)
    assert t1.data.dtype == np.uint8
    assert t1.notes == ()


def test_tissues_are_nilearns_maps(nilearns):
    tissues = samples.mni152_tissues()
    _, grey, white, mask = (image.get_fdata() for image in nilearns)
    labels = tissues.to_stored(tissues.data)
    np.testing.assert_array_equal(labels == 1, (grey >= 0.5) & (grey >= white))
    np.testing.assert_array_equal(labels == 2, (white >= 0.5) & ~(labels == 1))
    np.testing.assert_array_equal(labels == 3, (mask > 0) & (grey < 0.5) & (white < 0.5))
    assert set(samples.TISSUE_NAMES) == set(np.unique(labels)) - {0}


def test_two_millimetres_are_means_of_eight_voxels():
    fine, coarse = samples.mni152(1), samples.mni152(2)
    np.testing.assert_allclose(coarse.spacing, [2, 2, 2])
    i, j, k = 40, 50, 45
    block = fine.data[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2]
    assert abs(float(coarse.data[i, j, k]) - block.mean()) <= 0.5
    centre = nib.affines.apply_affine(fine.affine, [2 * i + 0.5, 2 * j + 0.5, 2 * k + 0.5])
    np.testing.assert_allclose(nib.affines.apply_affine(coarse.affine, [i, j, k]), centre)
    tissues = samples.mni152_tissues(2)
    assert tissues.shape == coarse.shape
    np.testing.assert_array_equal(tissues.affine, coarse.affine)
    full = samples.mni152_tissues(1).data
    for label in (1, 2):
        volume = 8 * (tissues.data == label).sum()
        assert abs(volume / (full == label).sum() - 1) < 0.05


@pytest.mark.parametrize("make", [samples.mni152, samples.mni152_tissues])
def test_other_resolutions_are_refused(make):
    with pytest.raises(MrisslError, match="1 or 2 mm"):
        make(3)


def test_without_nilearn_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MrisslError, match="reinstall nilearn"):
        samples.mni152()


def test_the_phantom_is_where_it_says():
    phantom = samples.phantom()
    again = samples.phantom()
    assert phantom.identity == again.identity
    assert phantom.oblique
    assert phantom.stored.orientation == "PIR"
    np.testing.assert_allclose(phantom.stored.spacing, [1.2, 1.3, 3])
    rng = np.random.default_rng(0)
    for index in rng.integers(0, phantom.shape, (200, 3)):
        world = nib.affines.apply_affine(phantom.affine, index)
        value = 0.0
        for body in samples.PHANTOM_BODIES:
            turn = np.array(body.turn)
            angle = np.linalg.norm(turn)
            axes = nib.quaternions.angle_axis2mat(angle, turn) if angle else np.eye(3)
            if (((axes.T @ (world - body.center)) / body.radii) ** 2).sum() <= 1:
                value = body.value + world @ samples.PHANTOM_RAMP
        assert phantom.data[tuple(index)] == pytest.approx(value, abs=1e-3)


def test_the_left_marker_is_on_the_patients_left():
    phantom, labels = samples.phantom(), samples.phantom_labels()
    np.testing.assert_array_equal(phantom.affine, labels.affine)
    number = [body.name for body in samples.PHANTOM_BODIES].index("left marker") + 1
    marker = samples.PHANTOM_BODIES[number - 1]
    where = nib.affines.apply_affine(labels.affine, np.argwhere(labels.data == number))
    np.testing.assert_allclose(where.mean(axis=0), marker.center, atol=0.5)
    assert where[:, 0].max() < 0
    volume_mm3 = len(where) * abs(np.linalg.det(labels.affine[:3, :3]))
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * np.prod(marker.radii), rel=0.03)
    assert len(np.unique(labels.data)) == len(samples.PHANTOM_BODIES) + 1


def test_the_phantom_survives_a_file(tmp_path):
    phantom = samples.phantom()
    again = read(write_image(tmp_path / "phantom.nii.gz", phantom.data, phantom))
    np.testing.assert_array_equal(again.data, phantom.data)
    np.testing.assert_allclose(again.affine, phantom.affine, atol=1e-4)
