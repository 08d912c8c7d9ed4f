"""F4: the documented outcome of every kind of voxel, scaling and shape."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_mrissl.volumes import ScanError, read
from napari_mrissl.volumes.errors import (
    BadGeometry,
    DamagedHeader,
    NoSuchFrame,
    UnknownFormat,
    UnsupportedVoxels,
)

BASE = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
FLOATS = BASE.astype(np.float32)
RGB = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])


def bad_values(value):
    voxels = FLOATS.copy()
    voxels[1, 2, 3] = value
    return voxels


def header(path, **fields):
    """Change fields in place; nibabel resets some of them when it saves."""
    kind = nib.Nifti2Header if path.read_bytes()[:4] == b"\x1c\x02\0\0" else nib.Nifti1Header
    content = bytearray(path.read_bytes())
    head = kind(bytes(content[: kind.template_dtype.itemsize]), check=False)
    for key, value in fields.items():
        head[key] = value
    content[: len(head.binaryblock)] = head.binaryblock
    path.write_bytes(bytes(content))
    return path


# name: (voxels, header fields, expected: dict of outcome or an error class)
OUTCOMES = {
    "NaN voxel": (bad_values(np.nan), {}, {"note": "1 voxels are NaN"}),
    "Inf voxel": (bad_values(np.inf), {}, {"note": "1 voxels are NaN or infinite"}),
    "large but finite": (np.full((4, 5, 6), 3e38, np.float32), {}, {}),
    "all constant": (np.full((4, 5, 6), 7, np.uint8), {}, {}),
    "slope 0": (BASE, {"scl_slope": 0, "scl_inter": 5}, {"scale": (1, 0)}),
    "slope negative": (BASE, {"scl_slope": -2, "scl_inter": 5}, {"scale": (-2, 5)}),
    "slope NaN": (BASE, {"scl_slope": np.nan, "scl_inter": np.nan}, {"scale": (1, 0)}),
    "slope Inf": (BASE, {"scl_slope": np.inf, "scl_inter": 0}, {"note": "scl_slope is infinite"}),
    "inter Inf": (BASE, {"scl_slope": 1, "scl_inter": np.inf}, DamagedHeader),
    "RGB": (RGB, {}, UnsupportedVoxels),
    "RGBA": (
        RGB.view("u1").reshape(4, 5, 6, 3)[..., 0].copy(),
        {"datatype": 2304, "bitpix": 32},
        UnsupportedVoxels,
    ),
    "complex": (FLOATS.astype(np.complex64), {}, UnsupportedVoxels),
    "bits": (BASE, {"datatype": 1, "bitpix": 1}, UnsupportedVoxels),
    "float128": (FLOATS, {"datatype": 1536, "bitpix": 128}, UnsupportedVoxels),
    "int64": (BASE.astype(np.int64) - 2**40, {}, {}),
    "uint64": (BASE.astype(np.uint64) + 2**63, {}, {}),
    "int8": ((BASE - 60).astype(np.int8), {}, {}),
    "uint16 CT": (
        BASE.astype(np.uint16) + 60000,
        {"scl_slope": 1, "scl_inter": -1024},
        {"scale": (1, -1024)},
    ),
    "int32": (BASE.astype(np.int32) * 10**6, {}, {}),
    "uint32": (BASE.astype(np.uint32) + 2**31, {}, {}),
    "float64": (FLOATS.astype(np.float64), {}, {}),
    "1D": (BASE.ravel()[:7], {}, BadGeometry),
    "2D": (BASE[:, :, 0].copy(), {}, {"shape": (4, 5, 1), "note": "one slice thick"}),
    "4D (1)": (BASE[..., None], {}, {"shape": (4, 5, 6)}),
    "4D (5)": (
        np.stack([BASE + k for k in range(5)], -1),
        {},
        {"frames": 5, "note": "holds 5 frames"},
    ),
    "5D": (np.zeros((4, 5, 6, 1, 3), np.float32), {}, UnsupportedVoxels),
    "5D (1, 1)": (BASE[..., None, None], {}, {"shape": (4, 5, 6)}),
    "metres": (BASE, {"xyzt_units": 1}, {"note": "stored in m "}),
    "micrometres": (BASE, {"xyzt_units": 3}, {"note": "stored in um"}),
    "datatype unknown": (BASE, {"datatype": 77}, DamagedHeader),
    "bitpix wrong": (BASE, {"bitpix": 8}, DamagedHeader),
    "Analyze 7.5": (BASE, {"magic": b""}, UnknownFormat),
}


def check(volume, voxels, expected):
    stored = voxels if voxels.ndim >= 3 else voxels[..., None]
    stored = stored.reshape(*stored.shape[:3], -1)[..., 0]
    assert volume.data.dtype == stored.dtype.newbyteorder("=")
    np.testing.assert_array_equal(volume.to_stored(volume.data), stored)
    assert (volume.slope, volume.intercept) == expected.get("scale", (1, 0))
    assert volume.stored.shape == expected.get("shape", (4, 5, 6))
    assert volume.frames == expected.get("frames", 1)
    if "note" in expected:
        assert expected["note"] in volume.notes[-1]
    else:
        assert volume.notes == ()


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_value_trap_has_its_outcome(tmp_path, name):
    voxels, fields, expected = OUTCOMES[name]
    path = tmp_path / "scan.nii"
    image = nib.Nifti1Image(voxels, np.eye(4), dtype=voxels.dtype)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    header(path, **{"scl_slope": np.nan, "scl_inter": np.nan, **fields})
    if name == "1D":
        header(path, sform_code=0, qform_code=0, pixdim=[1, 1, 0, 0, 0, 0, 0, 0])
    if isinstance(expected, dict):
        check(read(path), voxels, expected)
        return
    with pytest.raises(expected) as caught:
        read(path)
    error = caught.value
    assert isinstance(error, ScanError)
    assert error.where == "scan.nii"
    assert all((error.found, error.expected, error.remedy))
    assert "\n" not in str(error)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_both_versions_and_byte_orders(tmp_path, kind, order, suffix):
    image = kind(BASE, np.diag([1, 2, 3, 1]), kind.header_class(endianness=order))
    image.header.set_data_dtype(np.dtype("i2").newbyteorder(order))
    nib.save(image, tmp_path / f"scan{suffix}")
    volume = read(tmp_path / f"scan{suffix}")
    check(volume, BASE, {})
    assert volume.data.dtype.isnative
    assert volume.stored.forms.version == (2 if kind is nib.Nifti2Image else 1)


@pytest.mark.parametrize("opened", ["scan.hdr", "scan.img"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_header_and_image_pairs(tmp_path, opened, packed):
    image = nib.Nifti1Pair(BASE, np.diag([1, 2, 3, 1]))
    nib.save(image, tmp_path / f"scan.img{packed}")
    volume = read(tmp_path / f"{opened}{packed}")
    check(volume, BASE, {})
    assert volume.name == "scan"


def test_a_bool_mask_of_another_program_is_uint8(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray((BASE > 9).astype(np.uint8)), tmp_path / "mask.nrrd")
    assert read(tmp_path / "mask.nrrd").data.dtype == np.uint8


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_frames_are_chosen_and_said(tmp_path, suffix):
    frames = np.stack([BASE * (k + 1) for k in range(5)], -1)
    nib.save(nib.Nifti1Image(frames, np.eye(4)), tmp_path / f"fmri{suffix}")
    volume = read(tmp_path / f"fmri{suffix}", frame=3)
    np.testing.assert_array_equal(volume.to_stored(volume.data), frames[..., 3])
    assert (volume.frame, volume.frames) == (3, 5)
    assert "frame 3 is shown" in volume.notes[0]
    for wrong in (5, -1):
        with pytest.raises(NoSuchFrame, match="0 to 4"):
            read(tmp_path / f"fmri{suffix}", frame=wrong)
