"""Files to layers and back: by napari's own plugin calls, checked with nibabel."""

from __future__ import annotations

import gzip
import time

import nibabel as nib
import numpy as np
import pytest
from data import shared_data
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_mrissl import volumes
from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import scan_index
from napari_mrissl.ui.layers import add_labels, add_volume, labels_array, volume_of
from napari_mrissl.ui.reader import get_reader, is_label_map
from napari_mrissl.ui.writer import SaveError

PLUGIN = "napari-mrissl"


@pytest.fixture
def scan(tmp_path, make_geometry, wave_volume):
    """A tilted scan in an awkward order, as a file."""

    def save(name="scan.nii.gz", degrees=17.0, order=(2, 0, 1)):
        geometry = make_geometry(order, (-1, 1, -1), "anisotropic", degrees)
        volume = wave_volume(geometry)
        image = nib.Nifti1Image(volume.to_stored(volume.data), geometry.affine)
        image.set_sform(geometry.affine, 1)
        image.set_qform(geometry.affine, 1)
        image.header.set_xyzt_units("mm")
        nib.save(image, tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_a_scan_opens_through_napari_and_is_saved_on_its_own_grid(
    scan, tmp_path, degrees, no_warnings
):
    path = scan(degrees=degrees)
    viewer = ViewerModel()
    with no_warnings():
        (layer,) = viewer.open(path, plugin=PLUGIN)
        viewer.dims.ndisplay = 3
        viewer.dims.ndisplay = 2
    assert isinstance(layer, Image)
    assert layer.name == "scan"
    volume = volume_of(layer)
    assert volume.oblique == (degrees > 0)
    for target in ("copy.nii.gz", "copy.nii", "copy.nrrd"):
        assert layer.save(str(tmp_path / target), plugin=PLUGIN)
        again = volumes.read(tmp_path / target)
        assert np.array_equal(again.data, volume.data)
        assert np.allclose(again.affine, volume.affine, atol=1e-4)
    stored = nib.load(path)
    copied = nib.load(tmp_path / "copy.nii.gz")
    assert np.array_equal(np.asarray(copied.dataobj), np.asarray(stored.dataobj))
    assert np.allclose(copied.affine, stored.affine, atol=1e-5)


@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_painted_labels_are_saved_where_they_were_painted(scan, tmp_path, degrees):
    path = scan(degrees=degrees)
    viewer = ViewerModel()
    (layer,) = viewer.open(path, plugin=PLUGIN)
    volume = volume_of(layer)
    table = {"index": [0, 3], "name": ["background", "tumour"]}
    labels = add_labels(viewer, volume, np.zeros(volume.shape, np.int32), "painted", features=table)
    middle = tuple(n // 2 for n in labels.data.shape)
    labels.n_edit_dimensions = 3
    labels.paint(middle, 3)
    (written,) = labels.save(str(tmp_path / "painted.nii.gz"), plugin=PLUGIN)
    saved, source = nib.load(written), nib.load(path)
    assert saved.shape == source.shape
    assert saved.get_data_dtype() == np.uint8
    assert int(saved.header["intent_code"]) == 1002
    painted = np.argwhere(np.asarray(saved.dataobj) == 3)
    assert len(painted) == int((labels_array(labels) == 3).sum()) > 0
    middle_world = nib.affines.apply_affine(saved.affine, painted).mean(axis=0)
    expected = np.array(labels.data_to_world(middle))[::-1]
    assert np.linalg.norm(middle_world - expected) < 2.5
    (back,) = viewer.open(written, plugin=PLUGIN)
    assert isinstance(back, Labels)
    assert np.array_equal(labels_array(back), labels_array(labels))
    assert "tumour" in (tmp_path / "painted_labels.json").read_text("utf-8")


def test_the_scan_itself_is_not_replaced(scan):
    path = scan()
    before = path.read_bytes()
    (layer,) = ViewerModel().open(path, plugin=PLUGIN)
    with pytest.raises(SaveError, match="scan"):
        layer.save(str(path), plugin=PLUGIN)
    assert path.read_bytes() == before


def test_layers_of_others_are_saved_with_their_own_geometry(tmp_path):
    data = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    image = Image(data, scale=(3, 1, 2), translate=(7, 8, 9), units=("mm",) * 3)
    image.save(str(tmp_path / "other.nii"), plugin=PLUGIN)
    saved = nib.load(tmp_path / "other.nii")
    place = saved.affine @ (*np.argwhere(np.asarray(saved.dataobj) == data[1, 2, 3])[0], 1)
    assert np.allclose(place[:3], (9 + 2 * 3, 8 + 2, 7 + 3))
    labels = Labels(data, scale=(3, 1, 2))
    labels.save(str(tmp_path / "labels.nii.gz"), plugin=PLUGIN)
    assert np.asarray(nib.load(tmp_path / "labels.nii.gz").dataobj).max() == data.max()


def test_value_units_are_saved(tmp_path, make_geometry):
    geometry = make_geometry()
    stored = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
    volume = volumes.Volume.from_stored(stored, geometry.affine, slope=0.5, intercept=-3.0)
    layer = add_volume(ViewerModel(), volume)
    layer.save(str(tmp_path / "values.nii"), plugin=PLUGIN)
    saved = np.asarray(nib.load(tmp_path / "values.nii").dataobj)
    assert np.allclose(saved, stored * 0.5 - 3.0)


def test_damaged_files_say_so_in_one_sentence(scan, tmp_path):
    path = scan()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    viewer = ViewerModel()
    with pytest.raises(MrisslError) as error:
        viewer.open(path, plugin=PLUGIN)
    assert path.name in str(error.value)
    assert str(tmp_path) not in str(error.value)
    assert not viewer.layers


def test_names_decide_what_is_offered(tmp_path):
    for name in ("a.nii", "a.NII.GZ", "a.mgz", "a.nrrd", "a.mha", "a.dcm", "a.hdr"):
        assert get_reader(name) is not None
    for name in ("a.png", "a.gz", "a.tif", []):
        assert get_reader(name) is None
    (tmp_path / "notes.txt").write_text("no scan", "utf-8")
    assert get_reader(str(tmp_path)) is None
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    assert get_reader(str(tmp_path)) is not None


def test_a_dicom_folder_opens():
    (layer,) = ViewerModel().open(shared_data("dicom/t1_post"), plugin=PLUGIN)
    assert volume_of(layer).oblique


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hippocampus/labels", True),
        ("hippocampus/images", False),
        ("label_templates", True),
        ("body/example_ct_labels", True),
        ("body/example_mr_labels", True),
        ("body/example_ct", False),
        ("body/example_mr", False),
        ("brain/chris_t1", False),
    ],
)
def test_label_maps_are_told_from_images(name, expected):
    folder = shared_data(name) if "/" not in name or name.startswith("hipp") else None
    if folder is None:
        parent = shared_data(name.split("/")[0])
        paths = sorted(parent.glob(name.split("/")[1] + ".*"))
    else:
        paths = sorted(folder.glob("*.nii*"))
    assert paths
    for path in paths[:3]:
        assert is_label_map(volumes.read(path)) == expected


def test_templates_are_images_and_tissues_are_labels():
    from napari_mrissl.volumes import samples

    assert not is_label_map(samples.mni152(2))
    assert is_label_map(samples.mni152_tissues(2))
    assert not is_label_map(samples.phantom())


def test_a_label_intent_counts_whatever_the_voxels_are(tmp_path):
    noise = np.random.default_rng(3).integers(0, 200, (9, 9, 9)).astype(np.uint8)
    image = nib.Nifti1Image(noise, np.diag([1, 1, 1, 1.0]))
    nib.save(image, tmp_path / "plain.nii")
    image.header.set_intent("label")
    nib.save(image, tmp_path / "intent.nii")
    kinds = [
        ViewerModel().open(tmp_path / name, plugin=PLUGIN)[0]
        for name in ("plain.nii", "intent.nii")
    ]
    assert [type(layer) for layer in kinds] == [Image, Labels]


def test_an_opened_scan_is_found_again_by_its_identity(scan):
    path = scan()
    (layer,) = ViewerModel().open(path, plugin=PLUGIN)
    identity = volume_of(layer).identity
    deadline = time.monotonic() + 20
    while scan_index.locate(identity) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert scan_index.locate(identity) == path


def test_notes_reach_the_user(tmp_path):
    from napari.utils.notifications import notification_manager

    frames = np.random.default_rng(4).normal(size=(8, 9, 10, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(frames, np.eye(4)), tmp_path / "four.nii")
    with notification_manager:
        notification_manager.records.clear()
        (layer,) = ViewerModel().open(tmp_path / "four.nii", plugin=PLUGIN)
        said = [record.message for record in notification_manager.records]
    assert layer.ndim == 3
    assert any("frame" in message for message in said)


def test_wrong_suffix_content_is_refused(tmp_path):
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"no scan at all" * 100))
    with pytest.raises(MrisslError):
        ViewerModel().open(tmp_path / "text.nii.gz", plugin=PLUGIN)
