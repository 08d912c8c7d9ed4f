"""NRRD and MetaImage: what their headers may and may not say."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk
from geometries import SHAPE, numbered

from napari_mrissl.volumes import ScanError, read
from napari_mrissl.volumes.errors import (
    BadGeometry,
    DamagedHeader,
    SizeMismatch,
    UnreadableFile,
    UnsupportedVoxels,
)

RAW = numbered().tobytes("F")
NRRD = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "5 6 7",
    "space directions": "(2,0,0) (0,0,3) (0,-1.5,0)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(1,2,3)",
}
META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 0 1 0 -1 0",
    "Offset": "1 2 3",
    "ElementSpacing": "2 3 1.5",
    "DimSize": "5 6 7",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
RAS = np.array([[-2, 0, 0, -1], [0, 0, 1.5, -2], [0, 3, 0, 3], [0, 0, 0, 1]])


def nrrd(path, raw=RAW, **changes):
    fields = NRRD | {key.replace("_", " "): value for key, value in changes.items()}
    lines = ["NRRD0005", "# a comment", "key:=value"]
    lines += [f"{key}: {value}" for key, value in fields.items() if value is not None]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + raw)
    return path


def meta(path, raw=RAW, **changes):
    last = {"ElementDataFile": changes.pop("ElementDataFile", "LOCAL")}
    fields = {k: v for k, v in (META | changes).items() if k not in last and v is not None} | last
    path.write_bytes("".join(f"{k} = {v}\n" for k, v in fields.items()).encode() + raw)
    return path


def check(volume, affine=RAS):
    np.testing.assert_array_equal(volume.to_stored(volume.data), numbered())
    np.testing.assert_allclose(volume.stored.affine, affine)


@pytest.mark.parametrize("make", [nrrd, meta])
def test_the_hand_written_header_agrees_with_itk(tmp_path, make):
    path = make(tmp_path / ("a.nrrd" if make is nrrd else "a.mha"))
    check(read(path))
    image = sitk.ReadImage(path)
    np.testing.assert_allclose(image.GetOrigin(), [1, 2, 3])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, numbered())


NRRD_OK = {
    "big endian": ({"endian": "big", "raw": numbered().astype(">i2").tobytes("F")}, RAS),
    "gzip": ({"encoding": "gzip", "raw": gzip.compress(RAW)}, RAS),
    "RAS": ({"space": "RAS"}, np.diag([-1, -1, 1, 1]) @ RAS),
    "LAS": ({"space": "left-anterior-superior"}, np.diag([1, -1, 1, 1]) @ RAS),
    "unknown space": ({"space": "scanner-xyz"}, RAS),
    "other units": ({"space_units": '"um" "um" "um"'}, RAS),
    "spacings only": (
        {"space_directions": None, "spacings": "2 3 1.5"},
        np.array([[-2, 0, 0, -1], [0, -3, 0, -2], [0, 0, 1.5, 3], [0, 0, 0, 1]]),
    ),
    "no sizes of voxels": (
        {"space_directions": None, "space_origin": None},
        np.diag([-1, -1, 1, 1]),
    ),
}


NOTED = ("unknown space", "other units", "no sizes of voxels")


@pytest.mark.parametrize("name", NRRD_OK)
def test_nrrd_headers_that_are_read(tmp_path, name):
    changes, affine = NRRD_OK[name]
    volume = read(nrrd(tmp_path / "a.nrrd", **changes))
    check(volume, affine)
    assert bool(volume.notes) == (name in NOTED)


META_OK = {
    "big endian": (
        {"BinaryDataByteOrderMSB": "True", "raw": numbered().astype(">i2").tobytes("F")},
        RAS,
    ),
    "header size -1": ({"HeaderSize": "-1"}, RAS),
    "synonyms": (
        {
            "Offset": None,
            "Position": "1 2 3",
            "TransformMatrix": None,
            "Orientation": "1 0 0 0 0 1 0 -1 0",
        },
        RAS,
    ),
    "no byte order": ({"BinaryDataByteOrderMSB": None}, RAS),
    "nothing about space": (
        {"Offset": None, "TransformMatrix": None, "ElementSpacing": None},
        np.diag([-1, -1, 1, 1]),
    ),
}


@pytest.mark.parametrize("name", META_OK)
def test_metaimage_headers_that_are_read(tmp_path, name):
    changes, affine = META_OK[name]
    volume = read(meta(tmp_path / "a.mha", **changes))
    check(volume, affine)
    assert bool(volume.notes) == name.startswith("no")


def test_bytes_need_no_byte_order(tmp_path):
    raw = numbered(dtype="uint8").tobytes("F")
    for path in (
        nrrd(tmp_path / "a.nrrd", raw, type="uchar", endian=None),
        meta(tmp_path / "a.mha", raw, ElementType="MET_UCHAR", BinaryDataByteOrderMSB=None),
    ):
        assert read(path).notes == ()


NRRD_BAD = {
    "a type we do not know": ({"type": "block"}, UnsupportedVoxels),
    "no endian": ({"endian": None}, DamagedHeader),
    "odd endian": ({"endian": "middle"}, DamagedHeader),
    "dimension unlike sizes": ({"dimension": "4"}, DamagedHeader),
    "two dimensions": ({"dimension": "2", "sizes": "30 7", "kinds": None}, UnsupportedVoxels),
    "negative size": ({"sizes": "5 -6 7"}, DamagedHeader),
    "size in words": ({"sizes": "five 6 7"}, DamagedHeader),
    "no sizes": ({"sizes": None}, DamagedHeader),
    "colour": ({"kinds": "RGB-color domain domain"}, UnsupportedVoxels),
    "too few kinds": ({"kinds": "domain"}, DamagedHeader),
    "bzip2": ({"encoding": "bzip2"}, UnsupportedVoxels),
    "byte skip": ({"byte_skip": "10"}, UnsupportedVoxels),
    "two vectors": ({"space_directions": "(2,0,0) (0,0,3)"}, DamagedHeader),
    "half a vector": ({"space_directions": "(2,0,0) (0,0,3) (0,-1.5)"}, DamagedHeader),
    "no vector": ({"space_directions": "(2,0,0) (0,0,3) 5"}, DamagedHeader),
    "singular": ({"space_directions": "(2,0,0) (0,0,3) (0,0,1)"}, BadGeometry),
    "not finite": ({"space_directions": "(2,0,0) (0,0,nan) (0,1,0)"}, BadGeometry),
    "two origins": ({"space_origin": "(1,2,3) (1,2,3)"}, DamagedHeader),
    "unknown field": ({"flavour": "mint"}, DamagedHeader),
    "too large": ({"sizes": "5 6 8"}, SizeMismatch),
    "too small": ({"sizes": "5 6 6"}, SizeMismatch),
    "folder above": ({"data_file": "../other.raw"}, DamagedHeader),
    "absolute": ({"data_file": "/etc/hostname"}, DamagedHeader),
    "drive": ({"data_file": "C:\\other.raw"}, DamagedHeader),
    "missing file": ({"data_file": "other.raw"}, UnreadableFile),
}
META_BAD = {
    "a type we do not know": ({"ElementType": "MET_OTHER"}, UnsupportedVoxels),
    "NDims unlike DimSize": ({"NDims": "4"}, DamagedHeader),
    "two dimensions": ({"NDims": "2", "DimSize": "30 7"}, UnsupportedVoxels),
    "colour": ({"ElementNumberOfChannels": "3"}, UnsupportedVoxels),
    "odd flag": ({"CompressedData": "Maybe"}, DamagedHeader),
    "text voxels": ({"BinaryData": "False"}, UnsupportedVoxels),
    "header size": ({"HeaderSize": "20"}, UnsupportedVoxels),
    "no type": ({"ElementType": None}, DamagedHeader),
    "eight numbers": ({"TransformMatrix": "1 0 0 0 0 1 0 -1"}, DamagedHeader),
    "words": ({"Offset": "one 2 3"}, DamagedHeader),
    "singular": ({"TransformMatrix": "1 0 0 1 0 0 0 -1 0"}, BadGeometry),
    "zero spacing": ({"ElementSpacing": "0 3 1.5"}, BadGeometry),
    "too large": ({"DimSize": "5 6 8"}, SizeMismatch),
    "folder above": ({"ElementDataFile": "../other.raw"}, DamagedHeader),
    "list": ({"ElementDataFile": "LIST"}, UnreadableFile),
    "not compressed": ({"CompressedData": "True"}, ScanError),
}


@pytest.mark.parametrize("name", NRRD_BAD)
def test_nrrd_headers_that_are_refused(tmp_path, name):
    changes, error = NRRD_BAD[name]
    with pytest.raises(error, match=r"a\.nrrd"):
        read(nrrd(tmp_path / "a.nrrd", **changes))


@pytest.mark.parametrize("name", META_BAD)
def test_metaimage_headers_that_are_refused(tmp_path, name):
    changes, error = META_BAD[name]
    with pytest.raises(error, match=r"a\.mha"):
        read(meta(tmp_path / "a.mha", **changes))


def test_detached_data(tmp_path):
    (tmp_path / "voxels.raw").write_bytes(RAW)
    check(read(meta(tmp_path / "a.mhd", b"", ElementDataFile="voxels.raw")))
    check(read(nrrd(tmp_path / "a.nhdr", b"", data_file="voxels.raw")))
    content = (tmp_path / "a.nhdr").read_bytes()
    (tmp_path / "b.nhdr").write_bytes(content.rstrip(b"\n") + b"\n")
    check(read(tmp_path / "b.nhdr"))


def test_headers_without_end(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\ntype: short\n" + b"\1" * 99)
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image\n" + b"\1" * 99)
    (tmp_path / "b.mha").write_bytes(b"ObjectType = Image")
    for name in ("a.nrrd", "a.mha", "b.mha"):
        with pytest.raises(DamagedHeader):
            read(tmp_path / name)


def test_frames_of_nrrd_and_metaimage(tmp_path):
    frames = np.stack([numbered() + 1000 * k for k in range(3)])
    last = np.moveaxis(frames, 0, -1)
    four = {"dimension": "4", "kinds": "list domain domain domain", "sizes": "3 5 6 7"}
    directions = NRRD["space directions"]
    first = nrrd(
        tmp_path / "first.nrrd",
        frames.tobytes("F"),
        space_directions=f"none {directions}",
        **four,
    )
    slowest = nrrd(
        tmp_path / "last.nrrd",
        last.tobytes("F"),
        space_directions=f"{directions} none",
        **(four | {"sizes": "5 6 7 3", "kinds": "domain domain domain time"}),
    )
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(META["TransformMatrix"].split(), (3, 3)).astype(float)
    times = meta(
        tmp_path / "a.mha",
        last.tobytes("F"),
        NDims="4",
        DimSize="5 6 7 3",
        Offset="1 2 3 0",
        ElementSpacing="2 3 1.5 1",
        TransformMatrix=" ".join(map(str, matrix.ravel())),
    )
    for path in (first, slowest, times):
        volume = read(path, frame=2)
        assert volume.frames == 3
        np.testing.assert_array_equal(volume.to_stored(volume.data), frames[2])
        np.testing.assert_allclose(volume.stored.affine, RAS)
    odd = nrrd(
        tmp_path / "odd.nrrd",
        last.tobytes("F"),
        space_directions="(2,0,0) none (0,0,3) (0,-1.5,0)",
        **four,
    )
    with pytest.raises(UnsupportedVoxels, match="first or last axis"):
        read(odd)


def test_shape_of_the_example():
    assert numbered().shape == SHAPE
