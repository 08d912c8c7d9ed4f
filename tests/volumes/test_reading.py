"""`read`: formats by content and suffix, names, notes, identity, and real scans."""

import hashlib
import json
import os
import pickle
import warnings

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from data import shared_data
from geometries import grids, numbered

from napari_mrissl.volumes import Volume, describe, mgh, read, streams
from napari_mrissl.volumes.budget import memory_budget
from napari_mrissl.volumes.errors import (
    BadGeometry,
    DamagedHeader,
    ScanError,
    SizeMismatch,
    TooLarge,
    UnknownFormat,
    UnreadableFile,
)
from napari_mrissl.volumes.reading import scan_name

GRIDS = dict(grids())
AFFINE = GRIDS["z-x+y- aniso oblique"]


@pytest.mark.parametrize(
    ("written", "opened"),
    [
        ("a.nii.gz", "a.nii"),
        ("a.nii", "a.nii.gz"),
        ("a.nii", "a"),
        ("a.nii.gz", "noname"),
        ("a.nii", "A.NII"),
        ("a.nrrd", "a.nii"),
        ("a.mha", "a.bin"),
        ("a.mgz", "a.mgh"),
        ("a.mgz", "scan"),
        ("a.mgh", "a.mgz"),
    ],
)
def test_content_tells_the_format_before_the_suffix(tmp_path, written, opened):
    path = tmp_path / written
    if ".mg" in written:
        nib.save(nib.MGHImage(numbered(), AFFINE), path)
    elif ".nii" in written:
        nib.save(nib.Nifti1Image(numbered(), AFFINE), path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(numbered().T), path)
    path.rename(tmp_path / opened)
    volume = read(str(tmp_path / opened))
    np.testing.assert_array_equal(volume.to_stored(volume.data), numbered())


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"", "a.nii", UnreadableFile),
        (b"hello world", "a.txt", UnknownFormat),
        (b"hello world" * 99, "a.nii", UnknownFormat),
        (b"hello world" * 99, "a.mgz", DamagedHeader),
        (b"hello world" * 99, "a.nrrd", DamagedHeader),
        (b"hello", "a.mgh", DamagedHeader),
        (b"%PDF-1.7" * 99, "a.pdf", UnknownFormat),
    ],
)
def test_what_is_no_scan_is_named(tmp_path, content, name, error):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as caught:
        read(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)


def test_missing_and_forbidden_files(tmp_path, monkeypatch):
    with pytest.raises(UnreadableFile, match="no such file"):
        read(tmp_path / "nothing.nii")
    nib.save(nib.Nifti1Pair(numbered(), AFFINE), tmp_path / "pair.img")
    (tmp_path / "pair.img").unlink()
    with pytest.raises(UnreadableFile, match=r"\.img file is missing"):
        read(tmp_path / "pair.hdr")

    def forbidden(*_args, **_keywords):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.nii").write_bytes(b"x")
    monkeypatch.setattr(type(tmp_path), "open", forbidden)
    with pytest.raises(UnreadableFile, match="Permission denied"):
        read(tmp_path / "a.nii")


def test_control_characters_of_names_reach_no_terminal(tmp_path):
    path = tmp_path / "evil\x1b[31m.nii"
    path.write_bytes(b"hello world" * 99)
    with pytest.raises(UnknownFormat) as caught:
        read(path)
    assert "\x1b" not in str(caught.value)


def test_progress_runs_from_zero_to_one(tmp_path, monkeypatch):
    voxels = np.random.default_rng(0).integers(0, 9, (128, 128, 128)).astype(np.int32)
    nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "a.nii.gz")
    monkeypatch.setattr(streams, "_ONE_SHOT", 0)
    fractions = []
    volume = read(tmp_path / "a.nii.gz", progress=fractions.append)
    np.testing.assert_array_equal(volume.to_stored(volume.data), voxels)
    assert len(fractions) > 2
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_memory_budget_holds(tmp_path, monkeypatch):
    nib.save(nib.Nifti1Image(numbered(), AFFINE), tmp_path / "a.nii")
    assert memory_budget() > 10**8
    monkeypatch.setattr("napari_mrissl.volumes.budget.memory_budget", lambda: 100)
    with pytest.raises(TooLarge, match="420 B of memory; expected at most 100 B"):
        read(tmp_path / "a.nii")


def test_a_container_limit_counts(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("napari_mrissl.volumes.budget._CGROUP_LIMIT", limit)
    limit.write_text("3000\n", "utf-8")
    assert memory_budget() == 1000
    limit.write_text("max\n", "utf-8")
    assert memory_budget() > 10**8


def same_scan(tmp_path):
    """One scan in several files: byte orders, compressions, formats, names, headers."""
    affine = np.diag([1.0, 2, 3, 1])
    for order, name in (("<", "little"), (">", "big")):
        image = nib.Nifti1Image(numbered(), affine, nib.Nifti1Header(endianness=order))
        image.header.set_data_dtype(np.int16)
        image.header["descrip"] = name
        for suffix in (".nii", ".nii.gz"):
            nib.save(image, tmp_path / f"{name}{suffix}")
            yield tmp_path / f"{name}{suffix}"
    nib.save(nib.Nifti2Image(numbered(), affine), tmp_path / "two.nii")
    yield tmp_path / "two.nii"
    image = sitk.GetImageFromArray(numbered().T)
    image.SetSpacing((1, 2, 3))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    for suffix in (".nrrd", ".mha"):
        sitk.WriteImage(image, tmp_path / f"itk{suffix}")
        yield tmp_path / f"itk{suffix}"
    # The same voxels stored along other axes, with the affine that says so.
    turned = nib.as_closest_canonical(nib.Nifti1Image(numbered(), affine))
    axes = (nib.orientations.axcodes2ornt(codes) for codes in ("RAS", "AIL"))
    nib.save(turned.as_reoriented(nib.orientations.ornt_transform(*axes)), tmp_path / "ail.nii")
    yield tmp_path / "ail.nii"


def test_identity_is_what_the_scan_is_not_how_it_is_stored(tmp_path):
    volumes = [read(path) for path in same_scan(tmp_path)]
    assert len(volumes) == 8
    assert len({volume.identity for volume in volumes}) == 1
    assert len({volume.file_sha256 for volume in volumes}) == 8
    first = volumes[0]
    others = [
        Volume.from_stored(numbered() + 1, np.diag([1, 2, 3, 1])),
        Volume.from_stored(numbered(), np.diag([1, 2, 3.01, 1])),
        Volume.from_stored(numbered(dtype="int32"), np.diag([1, 2, 3, 1])),
        Volume.from_stored(numbered((6, 5, 7)), np.diag([1, 2, 3, 1])),
    ]
    assert len({first.identity, *(volume.identity for volume in others)}) == 5


def test_the_sha256_is_the_files(tmp_path):
    nib.save(nib.Nifti1Image(numbered(), AFFINE), tmp_path / "a.nii.gz")
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert read(tmp_path / "a.nii.gz").file_sha256 == hashlib.sha256(content).hexdigest()


def test_describe_reports_everything_as_stored(tmp_path):
    frames = np.stack([numbered(), numbered()], -1)
    nib.save(nib.Nifti1Image(frames, AFFINE), tmp_path / "secret.nii.gz")
    volume = read(tmp_path / "secret.nii.gz")
    told = json.loads(json.dumps(describe(volume)))
    assert told["shape"] == [5, 6, 7]
    np.testing.assert_allclose(told["affine"], AFFINE, atol=1e-5)
    np.testing.assert_allclose(told["spacing_mm"], [0.5, 0.7, 5], atol=1e-5)
    assert told["orientation"] == "".join(nib.aff2axcodes(AFFINE))
    assert told["dtype"] == "int16"
    assert told["frames"] == 2
    assert told["identity"] == volume.identity
    assert told["sha256"] == volume.file_sha256
    assert "2 frames" in told["notes"][0]
    assert str(tmp_path) not in json.dumps(told)


def test_paths_stay_private(tmp_path):
    nib.save(nib.Nifti1Image(numbered(), AFFINE), tmp_path / "a.nii.gz")
    volume = read(tmp_path / "a.nii.gz")
    assert volume.source == tmp_path / "a.nii.gz"
    assert str(tmp_path) not in repr(volume)
    dumped = pickle.dumps(volume)
    assert str(tmp_path).encode() not in dumped
    again = pickle.loads(dumped)  # noqa: S301
    assert again.source is None
    assert again.identity == volume.identity


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t1.nii.gz", "t1"),
        ("T1.NII", "T1"),
        ("a.b.mgz", "a.b"),
        ("folder", "folder"),
        (".nii", "scan"),
    ],
)
def test_scan_names(tmp_path, name, expected):
    assert scan_name(tmp_path / name) == expected


def test_mgh_tails_and_orientation(tmp_path):
    nib.save(nib.MGHImage(numbered(), AFFINE), tmp_path / "a.mgh")
    content = (tmp_path / "a.mgh").read_bytes()
    bare = content[: 284 + numbered().nbytes]
    tags = (31).to_bytes(4, "big") + (4).to_bytes(8, "big") + b"abcd"
    for tail in (b"", bytes(16), bytes(20), bytes(20) + tags):
        (tmp_path / "a.mgh").write_bytes(bare + tail)
        np.testing.assert_array_equal(read(tmp_path / "a.mgh").data.size, numbered().size)
    for tail in (bytes(3), bytes(100), b"\1" * 60, bytes(20) + tags[:10]):
        (tmp_path / "a.mgh").write_bytes(bare + tail)
        with pytest.raises(SizeMismatch, match="no tags"):
            read(tmp_path / "a.mgh")
    no_ras = bytearray(bare)
    no_ras[28:30] = 0, 0
    (tmp_path / "a.mgh").write_bytes(no_ras)
    volume = read(tmp_path / "a.mgh")
    assert "goodRASFlag" in volume.notes[0]
    # FreeSurfer's own default: x runs to L, y to I, z to A. nibabel's is upside down.
    assert volume.stored.orientation == "LIA"
    assert nib.aff2axcodes(nib.load(tmp_path / "a.mgh").affine) == ("L", "S", "P")
    np.testing.assert_allclose(volume.stored.affine[:3] @ [2.5, 3, 3.5, 1], 0)
    singular = bytearray(bare)
    singular[42:78] = bytes(36)
    (tmp_path / "a.mgh").write_bytes(singular)
    with pytest.raises(BadGeometry, match="mri_convert"):
        read(tmp_path / "a.mgh")
    for position, value, field in ((3, 2, "version"), (4, 200, "dimension 1"), (23, 9, "type")):
        broken = bytearray(bare)
        broken[position] = value
        (tmp_path / "a.mgh").write_bytes(broken)
        with pytest.raises(DamagedHeader, match=field):
            read(tmp_path / "a.mgh")


def test_mgh_frames(tmp_path):
    frames = np.stack([numbered(), numbered() + 500], -1)
    nib.save(nib.MGHImage(frames, AFFINE), tmp_path / "a.mgz")
    volume = read(tmp_path / "a.mgz", frame=1)
    np.testing.assert_array_equal(volume.to_stored(volume.data), frames[..., 1])
    assert mgh.looks_like_mgh(bytes(3)) is False


@pytest.mark.parametrize(
    "name", ["body/example_mr.nii.gz", "body/example_ct.nii.gz", "brain/chris_PD.nii.gz"]
)
def test_real_scans_read_like_nibabel_reads_them(name):
    path = shared_data(name)
    image, volume = nib.load(path), read(path)
    np.testing.assert_allclose(volume.stored.affine, image.affine, atol=1e-5)
    values = volume.slope * volume.to_stored(volume.data).astype(float) + volume.intercept
    np.testing.assert_allclose(values, image.get_fdata())


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "scan.nii")
    with pytest.raises(UnreadableFile, match="neither a file nor a folder"):
        read(tmp_path / "scan.nii")


@pytest.mark.parametrize("number", [np.inf, np.nan, 1e300, -1e300, 1e-300, 3e38, 1e9, 1e-9])
@pytest.mark.parametrize("field", ["pixdim", "qoffset_x", "srow_x", "quatern_b", "nrrd", "mha"])
def test_numbers_beyond_reason_are_refused_without_a_warning(tmp_path, field, number):
    path = tmp_path / ("scan.nii" if field not in ("nrrd", "mha") else f"scan.{field}")
    if field == "nrrd":
        text = f"space directions: ({number},0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
        text = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nspace: LPS\n{text}"
        path.write_bytes(f"{text}encoding: raw\n\n".encode() + bytes(8))
    elif field == "mha":
        text = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
        text += f"ElementSpacing = {number} 1 1\nElementDataFile = LOCAL\n"
        path.write_bytes(text.encode() + bytes(8))
    else:
        header = nib.Nifti2Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).header
        header["magic"], header["vox_offset"] = b"n+2", 544
        header["sform_code"], header["qform_code"] = (1, 0) if field == "srow_x" else (0, 1)
        header[field] = (
            [1, number, 1, 1, 1, 1, 1, 1]
            if field == "pixdim"
            else [number, 0, 0, 0]
            if field == "srow_x"
            else number
        )
        path.write_bytes(header.binaryblock + bytes(4) + bytes(8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if (field == "quatern_b" and abs(number) < 1e-8) or (
            field == "qoffset_x" and abs(number) < 1
        ):
            assert read(path).shape == (2, 2, 2)
        else:
            with pytest.raises(ScanError):
                read(path)
