"""L1: what we save is the source's grid, reread by nibabel and SimpleITK."""

import gzip
import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from geometries import SHAPE, grids, numbered

from napari_mrissl.volumes import ScanError, Volume, read, write_image, write_labels
from napari_mrissl.volumes.errors import WriteError

GRIDS = dict(grids())
SUFFIXES = (".nii", ".nii.gz", ".mgh", ".mgz", ".nrrd", ".mha")
AFFINE = GRIDS["y-x+z- aniso oblique"]


def scan(nifti, affine=AFFINE, codes=(2, 1), **keywords):
    path = nifti(numbered(), affine, **keywords)
    image = nib.load(path)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    nib.save(image, path)
    return path


def labelled(volume, count):
    rng = np.random.default_rng(count)
    labels = rng.integers(0, count + 1, volume.shape)
    labels[0, 0, 0] = count
    return labels


def direction(image):
    return np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()


@pytest.mark.untraced
@pytest.mark.parametrize(("count", "dtype"), [(2, "uint8"), (104, "uint8"), (300, "uint16")])
@pytest.mark.parametrize(
    "group", ["iso straight", "iso oblique", "aniso straight", "aniso oblique"]
)
def test_labels_of_192_grids_are_reread_alike(tmp_path, count, dtype, group):
    chosen = [affine for name, affine in GRIDS.items() if name.endswith(f" {group}")]
    assert len(chosen) == 48
    for affine in chosen:
        image = nib.Nifti1Image(numbered(), affine)
        image.header.set_xyzt_units("mm")
        image.set_qform(affine, 1)
        image.set_sform(affine, 4)
        nib.save(image, tmp_path / "scan.nii")
        volume = read(tmp_path / "scan.nii")
        labels = labelled(volume, count)
        # Edited in canonical order, as the viewer does.
        labels[1, 2:4, 3] = 1
        out = write_labels(tmp_path / "labels.nii", labels, volume, overwrite=True)

        source, saved = nib.load(tmp_path / "scan.nii"), nib.load(out)
        assert saved.get_data_dtype() == dtype
        assert saved.shape == source.shape
        np.testing.assert_array_equal(np.asarray(saved.dataobj), volume.to_stored(labels))
        for form in ("get_sform", "get_qform"):
            ours, code = getattr(saved.header, form)(coded=True)
            theirs, source_code = getattr(source.header, form)(coded=True)
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
            assert code == source_code
        assert saved.header["intent_code"] == 1002
        assert saved.header.get_slope_inter() in ((None, None), (1.0, 0.0))
        itk, itk_source = sitk.ReadImage(out), sitk.ReadImage(tmp_path / "scan.nii")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(itk).T, volume.to_stored(labels))
        np.testing.assert_allclose(itk.GetOrigin(), itk_source.GetOrigin(), atol=1e-5)
        np.testing.assert_allclose(direction(itk), direction(itk_source), atol=1e-5)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name", ["x+y+z+ iso straight", "z-x+y+ aniso oblique", "y-x-z- aniso straight"]
)
def test_every_format_round_trips_through_an_independent_reader(tmp_path, suffix, name):
    volume = Volume.from_stored(numbered(), GRIDS[name])
    labels = labelled(volume, 300)
    out = write_labels(tmp_path / f"labels{suffix}", labels, volume)
    if suffix in (".nrrd", ".mha"):
        image = sitk.ReadImage(out)
        reread = sitk.GetArrayFromImage(image).T
        lps = np.diag([-1, -1, 1])
        affine = nib.affines.from_matvec(lps @ direction(image), lps @ image.GetOrigin())
    else:
        image = nib.load(out)
        reread, affine = np.asarray(image.dataobj), image.affine
    expected = np.int16 if suffix.startswith(".mg") else np.uint16
    assert reread.dtype.newbyteorder("=") == expected
    np.testing.assert_array_equal(reread, volume.to_stored(labels))
    np.testing.assert_allclose(affine, GRIDS[name], atol=1e-4)
    again = read(out)
    np.testing.assert_array_equal(again.data, labels)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-4)
    assert again.notes == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32"]
)
def test_images_keep_type_and_values(tmp_path, suffix, dtype):
    volume = Volume.from_stored(numbered(), AFFINE)
    values = (volume.data // 3).astype(dtype)
    values[2, 2, 2] = np.iinfo(dtype).max if values.dtype.kind in "ui" else np.pi
    if suffix.startswith(".mg") and dtype == "uint32":
        with pytest.raises(WriteError, match="MGH"):
            write_image(tmp_path / f"image{suffix}", values, volume)
        return
    again = read(write_image(tmp_path / f"image{suffix}", values, volume))
    np.testing.assert_array_equal(again.data, values)
    if not suffix.startswith(".mg"):
        assert again.data.dtype == dtype


def test_other_types_are_converted_or_refused(tmp_path):
    volume = Volume.from_stored(numbered(), np.eye(4))
    mask = volume.data > 9
    half = np.full(volume.shape, 0.25, np.float16)
    assert read(write_image(tmp_path / "a.nii", mask, volume)).data.dtype == np.uint8
    assert read(write_image(tmp_path / "b.nii", half, volume)).data.dtype == np.float32
    assert read(write_labels(tmp_path / "c.nii", mask, volume)).data.dtype == np.uint8
    double = read(write_image(tmp_path / "d.nii", volume.data / 3, volume))
    np.testing.assert_array_equal(double.data, volume.data / 3)
    big = np.where(mask, 70000, 0)
    assert read(write_labels(tmp_path / "e.nii", big, volume)).data.dtype == np.uint32
    with pytest.raises(WriteError, match="complex"):
        write_image(tmp_path / "f.nii", mask.astype(complex), volume)
    with pytest.raises(WriteError, match="MGH"):
        write_image(tmp_path / "f.mgz", volume.data / 3, volume)
    for wrong in (volume.data - 1, volume.data / 2):
        with pytest.raises(WriteError, match="whole numbers"):
            write_labels(tmp_path / "f.nii", wrong, volume)
    with pytest.raises(ScanError, match="shape"):
        write_labels(tmp_path / "f.nii", mask[1:], volume)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.nii",
        "b.nii",
        "c.nii",
        "d.nii",
        "e.nii",
    ]


FORMS = {
    "both": {"qform_code": 1, "sform_code": 2},
    "qform only": {"qform_code": 3, "sform_code": 0},
    "sform only": {"qform_code": 0, "sform_code": 4},
    "none": {"qform_code": 0, "sform_code": 0},
}


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("unit", ["mm", "meter", "micron", "unknown"])
@pytest.mark.parametrize("forms", FORMS)
def test_forms_codes_and_units_are_the_sources(tmp_path, kind, unit, forms):
    image = kind(numbered(), None)
    image.header.set_qform(AFFINE, 1)
    image.header.set_sform(AFFINE, 1)
    for key, code in FORMS[forms].items():
        image.header[key] = code
    image.header.set_xyzt_units(unit)
    path = tmp_path / "scan.nii"
    image.to_filename(path)
    volume = read(path)
    # nibabel completes forms when it saves: what counts is what the file says.
    source = nib.load(path)
    saved = nib.load(write_labels(tmp_path / "out.nii.gz", labelled(volume, 3), volume))
    assert type(saved) is kind
    np.testing.assert_allclose(saved.affine, source.affine, rtol=1e-6)
    for key in ("qform_code", "sform_code"):
        assert saved.header[key] == source.header[key]
    if source.header["sform_code"]:
        np.testing.assert_array_equal(saved.header.get_sform(), source.header.get_sform())
    if source.header["qform_code"]:
        np.testing.assert_allclose(
            saved.header.get_qform(), source.header.get_qform(), rtol=1e-6, atol=1e-6
        )
    assert saved.header.get_xyzt_units()[0] == unit
    np.testing.assert_allclose(read(tmp_path / "out.nii.gz").affine, volume.affine, rtol=1e-6)


def test_a_grid_wider_than_nifti1_can_say_becomes_nifti2(tmp_path):
    volume = Volume.from_stored(np.zeros((40000, 1, 2), np.uint8), np.eye(4))
    assert isinstance(
        nib.load(write_image(tmp_path / "a.nii", volume.data, volume)), nib.Nifti2Image
    )


def test_a_sheared_grid_is_written_where_it_can_be_said(tmp_path):
    sheared = np.eye(4) + np.eye(4, k=1) * [[0.3], [0], [0], [0]]
    volume = Volume.from_stored(numbered(), sheared)
    saved = nib.load(write_image(tmp_path / "a.nii", volume.data, volume))
    assert (saved.header["qform_code"], saved.header["sform_code"]) == (0, 1)
    np.testing.assert_allclose(saved.affine, sheared, atol=1e-6)
    with pytest.raises(WriteError, match="sheared"):
        write_image(tmp_path / "a.mha", volume.data, volume)
    for suffix in (".nrrd", ".mgz"):
        again = read(write_image(tmp_path / f"a{suffix}", volume.data, volume))
        np.testing.assert_allclose(again.stored.affine, sheared, atol=1e-5)


def test_nothing_of_the_patient_is_carried_along(tmp_path, nifti):
    fields = {"descrip": b"PATIENT DOE", "aux_file": b"DOE.txt", "db_name": b"DOE-DB"}
    path = scan(nifti, name="DOE_John.nii", intent_name=b"DOE", **fields)
    image = nib.load(path)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"John DOE"))
    nib.save(image, path)
    assert path.read_bytes().count(b"DOE") >= 4
    volume = read(path)
    for suffix in SUFFIXES:
        out = write_labels(
            tmp_path / f"out{suffix}", labelled(volume, 3), volume, names={1: "a"}, overwrite=True
        )
        content = out.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        for token in (b"DOE", b"John", str(tmp_path).encode()):
            assert token not in content
            assert token not in (tmp_path / "out_labels.json").read_bytes()


def test_compressed_files_have_no_time_stamp_and_are_the_same_each_time(tmp_path, nifti):
    volume = read(scan(nifti))
    first = write_labels(tmp_path / "a.nii.gz", labelled(volume, 9), volume).read_bytes()
    second = write_labels(tmp_path / "b.nii.gz", labelled(volume, 9), volume).read_bytes()
    assert first == second
    assert first[3:8] == bytes(5)


def test_the_source_and_existing_files_are_safe(tmp_path, nifti, monkeypatch):
    path = scan(nifti)
    before = path.read_bytes()
    volume = read(path)
    labels = labelled(volume, 3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.nii.gz").symlink_to(path)
    (tmp_path / "hard.nii.gz").hardlink_to(path)
    monkeypatch.chdir(tmp_path)
    for same in (path, path.name, "folder/../scan.nii.gz", "link.nii.gz", "hard.nii.gz"):
        for write in (write_labels, write_image):
            with pytest.raises(WriteError, match="the scan itself"):
                write(same, labels, volume, overwrite=True)
    assert path.read_bytes() == before
    out = write_labels("labels.nii.gz", labels, volume)
    kept = out.read_bytes()
    with pytest.raises(WriteError, match="allow overwriting"):
        write_labels(out, labels * 0, volume)
    assert out.read_bytes() == kept
    write_labels(out, labels * 0, volume, overwrite=True)
    assert out.read_bytes() != kept
    with pytest.raises(WriteError, match="a folder"):
        write_labels("folder", labels, volume)
    with pytest.raises(WriteError, match="does not exist"):
        write_labels("nowhere/labels.nii", labels, volume)
    with pytest.raises(WriteError, match="suffix"):
        write_labels("labels.png", labels, volume)
    monkeypatch.undo()


def test_names_and_colours_go_to_a_table_beside_the_labels(tmp_path, nifti):
    volume = read(scan(nifti))
    write_labels(
        tmp_path / "seg.nii.gz",
        labelled(volume, 2),
        volume,
        names={1: "grey matter", 2: "white matter"},
        colors={2: "#ffffff", 3: "#00ff00"},
    )
    table = json.loads((tmp_path / "seg_labels.json").read_text("utf-8"))
    assert table["labels"] == [
        {"index": 1, "name": "grey matter"},
        {"index": 2, "name": "white matter", "color": "#ffffff"},
        {"index": 3, "name": "3", "color": "#00ff00"},
    ]
    again = {"names": {1: "a"}, "overwrite": True}
    write_labels(tmp_path / "seg.nii.gz", labelled(volume, 2), volume, **again)
    assert len(json.loads((tmp_path / "seg_labels.json").read_text("utf-8"))["labels"]) == 1


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", ["mine", "[]", '{"format": "clicks", "labels": []}'])
def test_a_file_that_is_no_table_is_never_replaced_by_one(tmp_path, nifti, overwrite, content):
    volume = read(scan(nifti))
    other = tmp_path / "other_labels.json"
    other.write_text(content, "utf-8")
    with pytest.raises(WriteError, match="other_labels"):
        write_labels(
            tmp_path / "other.nii", labelled(volume, 2), volume, names={1: "a"},
            overwrite=overwrite,
        )  # fmt: skip
    assert not (tmp_path / "other.nii").exists()
    assert other.read_text("utf-8") == content


def test_shape_is_the_sources():
    assert Volume.from_stored(numbered(), AFFINE).stored.shape == SHAPE
