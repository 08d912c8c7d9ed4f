"""F1: damaged files are refused by name or read right, never wrong.

Sixty of each kind by default, five hundred under the ``slow`` marker.
"""

from collections import Counter

import nibabel as nib
import numpy as np
import pytest
from damaged_files import (
    AFFINE,
    BINARY_HEADERS,
    COMPRESSED,
    EVERY,
    TEXT_HEADERS,
    VOXELS,
    Damaged,
    flips,
    gzip_variants,
    member,
    mutations,
    originals,
    truncations,
)

from napari_mrissl.volumes import ScanError, read
from napari_mrissl.volumes.errors import DamagedStream, SizeMismatch

COUNTS = [60, pytest.param(500, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    return originals(tmp_path_factory.mktemp("originals"))


def outcome(damaged, folder):
    """``refused``, ``same`` or, for another valid header, ``valid``; else the test fails."""
    path = damaged.write(folder)
    try:
        volume = read(path)
    except ScanError as refusal:
        error = refusal
    else:
        error = None
    if error is not None:
        assert type(error) is not ScanError
        assert error.where in damaged.files
        assert all((error.found, error.expected, error.remedy)), error
        assert len(str(error).splitlines()) == 1
        assert str(folder) not in str(error)
        assert damaged.expected != "same", damaged.what
        return "refused"
    assert damaged.expected != "refused", damaged.what
    np.testing.assert_array_equal(volume.to_stored(volume.data), VOXELS, damaged.what)
    unmoved = np.allclose(volume.stored.affine, AFFINE, atol=1e-4)
    if unmoved and (volume.slope, volume.intercept) == (1, 0):
        return "same"
    assert damaged.expected == "valid", damaged.what
    return "valid"


def tally(damaged, folder):
    return Counter(outcome(item, folder) for item in damaged)


@pytest.mark.parametrize("kind", EVERY)
def test_the_undamaged_scan_is_read(tmp_path, scans, kind):
    assert outcome(Damaged("nothing", scans[kind], "same"), tmp_path) == "same"


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", COMPRESSED)
def test_flipped_bits_in_compressed_voxels(tmp_path, scans, kind, count):
    seen = tally(flips(kind, scans[kind], count), tmp_path)
    print(kind, "flips", dict(seen))
    # Only a few bits, such as the time stamp of gzip, mean nothing to the voxels.
    assert seen["refused"] >= 0.9 * count
    assert seen["valid"] == 0


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", EVERY)
def test_truncated_files(tmp_path, scans, kind, count):
    seen = tally(truncations(kind, scans[kind], count), tmp_path)
    print(kind, "truncations", dict(seen))
    # What ends a detached text header are fields that no voxel depends on.
    assert seen["refused"] >= (0.5 if kind == "nhdr" else 0.95) * seen.total()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", [*BINARY_HEADERS, *TEXT_HEADERS])
def test_mutated_headers(tmp_path, scans, kind, count):
    seen = tally(mutations(kind, scans[kind], count), tmp_path)
    print(kind, "header mutations", dict(seen))
    assert seen["refused"] > 0
    assert seen.total() == count


@pytest.mark.parametrize("rounds", [2, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan"])
def test_gzip_variants(tmp_path, scans, name, rounds):
    seen = tally(gzip_variants(scans[".nii"]["scan.nii"], name, rounds), tmp_path)
    print(name, "gzip variants", dict(seen))
    assert set(seen) == {"same", "refused"}


@pytest.fixture
def raw(scans):
    return scans[".nii"]["scan.nii"]


def alone(path, content):
    """The outcome of one file, whatever it is."""
    return outcome(Damaged("one file", {path.name: content}), path.parent)


def test_the_error_says_what_was_found_and_expected(tmp_path, raw):
    path = tmp_path / "scan.nii"
    path.write_bytes(raw[:-10])
    with pytest.raises(SizeMismatch, match=r"content is 2982 bytes; expected 2992 bytes"):
        read(path)
    path.write_bytes(member(raw, crc=1))
    with pytest.raises(DamagedStream, match="copy or download the file again"):
        read(path)


@pytest.mark.parametrize("offset", [-100.0, 0.0, 348.0, 352.5, 1e9, np.nan, np.inf])
def test_a_wrong_vox_offset_is_refused(tmp_path, raw, offset):
    head = nib.Nifti1Header(raw[:348], check=False)
    head["vox_offset"] = offset
    content = head.binaryblock + raw[348:]
    assert alone(tmp_path / "scan.nii", content) == "refused"


def extended(raw, *sizes, room=None, flag=b"\1\0\0\0", claimed=None):
    content = b"".join(
        int(s if claimed is None else claimed).to_bytes(4, "little", signed=True)
        + b"\4\0\0\0"
        + b"x" * (s - 8)
        for s in sizes
    )
    room = len(content) if room is None else room
    head = nib.Nifti1Header(raw[:348], check=False)
    head["vox_offset"] = 352 + room
    return head.binaryblock + flag + content.ljust(room, b"\0") + raw[352:]


def test_extension_chains(tmp_path, raw):
    path = tmp_path / "scan.nii"
    assert alone(path, extended(raw, 16)) == "same"
    assert alone(path, extended(raw, 32, 48)) == "same"
    assert alone(path, extended(raw, 32, room=64)) == "same"
    for claimed in (2**31 - 16, -16, 0, 7, 64):
        assert alone(path, extended(raw, 32, claimed=claimed)) == "refused"
    # An extension slipped in without moving vox_offset shifts the voxels.
    slipped = raw[:348] + b"\1\0\0\0" + (2**31 - 1).to_bytes(4, "little") + bytes(12) + raw[352:]
    assert alone(path, slipped) == "refused"


@pytest.mark.parametrize("dims", [(0, 5, 6), (-5, 5, 6), (12, 11, 9), (12, 11, 11), (11, 12, 20)])
def test_wrong_dimensions_are_refused(tmp_path, raw, dims):
    head = nib.Nifti1Header(raw[:348], check=False)
    head["dim"][1:4] = dims
    assert alone(tmp_path / "scan.nii", head.binaryblock + raw[348:]) == "refused"
