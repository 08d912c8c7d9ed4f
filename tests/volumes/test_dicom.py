"""DICOM series against SimpleITK's own reading, and the ways in which series are broken."""

import shutil
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from data import shared_data
from dicom_series import LPS, SHAPE, write_series
from geometries import grids, numbered

from napari_mrissl.volumes import read, write_labels
from napari_mrissl.volumes.errors import (
    BadGeometry,
    DamagedHeader,
    DamagedStream,
    MissingReader,
    UnknownFormat,
    UnsupportedVoxels,
    WriteError,
)

GRIDS = dict(grids())


@pytest.mark.parametrize(
    "name",
    [
        "x-y-z+ iso straight",
        "y-z-x+ aniso straight",
        "x-z+y- aniso oblique",
        "z+x+y+ aniso oblique",
    ],
)
def test_a_series_agrees_with_simpleitk(tmp_path, name):
    affine = GRIDS[name]
    folder = write_series(tmp_path / "series", affine)
    volume = read(folder)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    voxels = sitk.GetArrayFromImage(image).T
    np.testing.assert_array_equal(volume.to_stored(volume.data), voxels)
    itk = LPS @ (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing())
    np.testing.assert_allclose(volume.stored.affine[:3, :3], itk, atol=1e-4)
    np.testing.assert_allclose(volume.stored.affine[:3, 3], LPS @ image.GetOrigin(), atol=1e-4)
    # And with the grid it was made on, up to the order of the slices.
    center = affine @ [3.5, 3, 2, 1]
    np.testing.assert_allclose(volume.center, center[:3], atol=1e-4)
    assert volume.notes == ()
    assert volume.file_sha256 is None


def test_one_file_stands_for_its_series(tmp_path):
    folder = write_series(tmp_path / "both", np.eye(4))
    write_series(folder, np.eye(4), numbered((8, 7, 3)) + 1000, uid="1.2.4")
    both = read(folder)
    assert both.stored.shape == SHAPE
    assert "holds 2 DICOM series" in both.notes[0]
    other = read(folder / "1.2.4-01.dcm")
    assert other.stored.shape == (8, 7, 3)
    fractions = []
    read(folder, progress=fractions.append)
    assert fractions[-1] == 1
    renamed = (folder / "1.2.4-01.dcm").rename(folder / "IM0001")
    assert read(renamed).stored.shape == (8, 7, 3)


def test_a_single_slice_has_its_thickness(tmp_path):
    folder = write_series(tmp_path / "one", np.diag([1.0, 1.0, 4.0, 1.0]), numbered((8, 7, 1)))
    np.testing.assert_allclose(read(folder).stored.spacing, [1, 1, 4])


def test_irregular_series_are_refused(tmp_path):
    with pytest.raises(BadGeometry, match="slice distances from 1 to 2 mm"):
        read(write_series(tmp_path / "missing", np.eye(4), skip=(3,)))
    with pytest.raises(BadGeometry, match="several images at one position"):
        read(write_series(tmp_path / "twice", np.eye(4), **{"0020|0032": "0\\0\\3"}))
    turned = write_series(
        tmp_path / "turned", np.eye(4), **{"0020|0037": "0.6\\0.8\\0\\-0.8\\0.6\\0"}
    )
    with pytest.raises(BadGeometry, match="several orientations"):
        read(turned)
    words = write_series(tmp_path / "words", np.eye(4)) / "1.2.3-02.dcm"
    position = b" \x002\0\x06\0\0\x000\\0\\2 "
    content = words.read_bytes()
    assert position in content
    words.write_bytes(content.replace(position, position[:8] + b"x" * 6))
    with pytest.raises((DamagedHeader, BadGeometry)):
        read(words.parent)


def test_a_gantry_tilt_is_kept_and_noted(tmp_path):
    tilted = np.eye(4)
    tilted[:3, 2] = 0, -0.3, 1
    folder = write_series(tmp_path / "ct", tilted)
    volume = read(folder)
    np.testing.assert_allclose(np.abs(volume.stored.affine[:3, 2]), [0, 0.3, 1], atol=1e-4)
    assert "gantry tilt" in volume.notes[0]


def test_slices_of_two_sizes_are_refused(tmp_path):
    folder = write_series(tmp_path / "sizes", np.eye(4), skip=(4,))
    write_series(tmp_path / "more", np.eye(4), numbered((6, 7, 5)), skip=range(4))
    for file in (tmp_path / "more").iterdir():
        shutil.copy(file, folder)
    with pytest.raises((BadGeometry, UnknownFormat)):
        read(folder)


def test_colour_is_refused(tmp_path):
    folder = tmp_path / "colour"
    folder.mkdir()
    image = sitk.GetImageFromArray(np.zeros((7, 8, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, folder / "a.dcm")
    with pytest.raises(UnsupportedVoxels, match="colour"):
        read(folder)


def test_folders_and_files_without_dicom(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here", "utf-8")
    with pytest.raises(UnknownFormat, match="no DICOM series"):
        read(tmp_path)
    (tmp_path / "a.dcm").write_bytes(b"x" * 1000)
    with pytest.raises(UnknownFormat, match="no DICOM series"):
        read(tmp_path / "a.dcm")


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
def test_a_cut_slice_is_never_shown(tmp_path, keep):
    folder = write_series(tmp_path / "cut", np.eye(4), numbered((64, 60, 5)))
    victim = folder / "1.2.3-02.dcm"
    content = victim.read_bytes()
    victim.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises((DamagedStream, BadGeometry)):
        read(folder)


def test_without_simpleitk_the_remedy_is_a_pip_line(tmp_path, monkeypatch):
    folder = write_series(tmp_path / "series", np.eye(4))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(MissingReader, match=r"pip install .napari-mrissl\[dicom\]"):
        read(folder)


def test_labels_of_a_series_are_saved_on_its_grid(tmp_path):
    volume = read(write_series(tmp_path / "series", GRIDS["x-z+y- aniso oblique"]))
    out = write_labels(tmp_path / "labels.nii.gz", volume.data, volume)
    again = read(out)
    np.testing.assert_array_equal(again.data, volume.data)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-5)
    with pytest.raises(WriteError):
        write_labels(tmp_path / "series", volume.data, volume, overwrite=True)


def test_a_real_series():
    folder = shared_data("dicom/t1_post")
    volume = read(folder)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_array_equal(volume.to_stored(volume.data), sitk.GetArrayFromImage(image).T)
    np.testing.assert_allclose(volume.stored.affine[:3, 3], LPS @ image.GetOrigin(), atol=1e-3)
    axes = LPS @ (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing())
    np.testing.assert_allclose(volume.stored.affine[:3, :3], axes, atol=1e-3)
    assert volume.oblique
