import nibabel
import numpy as np
import pytest
from PIL import Image

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose
from napari_mrissl.slicing import Slices, render
from napari_mrissl.slicing.pictures import SLICE_SUFFIXES, gray, write_slice
from napari_mrissl.volumes import Volume

POSE = Pose.from_normal_up((1, 2, 3), (0.2, 0.1, 1), (0, 1, 0), 30)


@pytest.fixture
def volume():
    voxels = np.random.default_rng(0).integers(0, 1000, (20, 22, 24)).astype(np.int16)
    affine = np.diag([1.0, 1.0, 1.5, 1.0])
    affine[:3, 3] = (-9, -9, -15)
    return Volume.from_stored(voxels, affine)


def test_gray_is_black_outside_the_window_the_scan_and_numbers():
    values = np.array([[-5, 10, 15, 20, 99, 15, np.nan, np.inf, -np.inf]], np.float32)
    valid = np.array([[1, 1, 1, 1, 1, 0, 1, 1, 1]], bool)
    found = gray(Slices(values, valid), (10.0, 20.0))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 0, 128, 255, 255, 0, 0, 255, 0]]


@pytest.mark.parametrize("suffix", SLICE_SUFFIXES)
def test_files_hold_what_is_rendered(volume, tmp_path, suffix):
    path = write_slice(tmp_path / f"a{suffix}", volume, POSE, 16)
    values = render(volume, POSE, 16).values
    match suffix:
        case ".npy":
            found = np.load(path)
        case ".png":
            found = np.asarray(Image.open(path))
            values = gray(render(volume, POSE, 16), volume.value_range())
        case _:
            found = np.asarray(nibabel.load(path).dataobj)[:, :, 0].T
    np.testing.assert_allclose(found, values, atol=1 if suffix == ".png" else 1e-2)


def test_what_is_there_stays_unless_asked_for(volume, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"mine")
    with pytest.raises(MrisslError, match="there already"):
        write_slice(path, volume, POSE, 16)
    assert path.read_bytes() == b"mine"
    write_slice(path, volume, POSE, 16, "nearest", overwrite=True)
    assert np.load(path).shape == (16, 16)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def test_other_suffixes_and_lost_folders_are_refused(volume, tmp_path):
    with pytest.raises(MrisslError, match="suffix"):
        write_slice(tmp_path / "a.jpg", volume, POSE, 16)
    for suffix in SLICE_SUFFIXES:
        with pytest.raises(MrisslError):
            write_slice(tmp_path / "absent" / f"a{suffix}", volume, POSE, 16)
    assert list(tmp_path.iterdir()) == []
