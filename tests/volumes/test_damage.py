"""F1: damaged files are refused by name or read right, never wrong.

Sixty of each kind by default, five hundred under the ``slow`` marker.
"""

import gzip
import zlib

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_mrissl.volumes import ScanError, read
from napari_mrissl.volumes.errors import DamagedStream, SizeMismatch
from napari_mrissl.volumes.mgh import MGH
from napari_mrissl.volumes.nifti_header import NIFTI1

COUNTS = [60, pytest.param(500, marks=pytest.mark.slow)]
AFFINE = np.array([[0, 0, 2.0, -9], [-1.5, 0, 0, 8], [0, 1, 0, -7], [0, 0, 0, 1]])
# Noise compresses into stored blocks, smooth voxels into Huffman codes: both in one scan.
VOXELS = np.arange(12 * 11 * 10, dtype=np.int16).reshape(12, 11, 10) // 3 * 3 - 500
VOXELS[:, :, 5:] = np.random.default_rng(1).integers(-900, 900, (12, 11, 5))

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".mgz")
COMPRESSED = (".nii.gz", ".nrrd", ".mha", ".mgz")
# Where a change leaves a valid header that puts or scales the voxels otherwise: nothing
# in the file could tell. The scan must then still have the same stored voxels.
FREE = {"pixdim", "scl_slope", "scl_inter", "xyzt_units", "qform_code", "sform_code", "quatern"}
FREE |= {"qoffset", "srow", "good_ras", "delta", "cosines", "center"}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.header.set_xyzt_units("mm")
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 1)
    nib.save(image, folder / "scan.nii")
    nib.save(image, folder / "scan.nii.gz")
    nib.save(nib.MGHImage(VOXELS, AFFINE), folder / "scan.mgz")
    for suffix in (".nrrd", ".mha"):
        sitk.WriteImage(sitk.ReadImage(folder / "scan.nii"), folder / f"scan{suffix}", True)
    return {suffix: (folder / f"scan{suffix}").read_bytes() for suffix in SUFFIXES}


def outcome(path, content, *, geometry_is_free=False):
    """``refused`` or ``same``; anything else fails the test."""
    path.write_bytes(content)
    try:
        volume = read(path)
    except ScanError as refusal:
        error = refusal
    else:
        error = None
    if error is not None:
        assert type(error) is not ScanError
        assert error.where == path.name
        assert all((error.found, error.expected, error.remedy)), error
        assert len(str(error).splitlines()) == 1
        return "refused"
    np.testing.assert_array_equal(volume.to_stored(volume.data), VOXELS)
    if geometry_is_free:
        return "valid"
    np.testing.assert_allclose(volume.stored.affine, AFFINE, atol=1e-4)
    assert (volume.slope, volume.intercept) == (1, 0)
    return "same"


def stream_start(suffix, content):
    """Where the compressed bytes begin."""
    if suffix == ".nrrd":
        return content.index(b"\n\n") + 2
    if suffix == ".mha":
        return content.index(b"LOCAL\n") + 6
    return 0


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("suffix", COMPRESSED)
def test_flipped_bits_in_compressed_voxels(tmp_path, originals, suffix, count):
    rng = np.random.default_rng(2)
    content = originals[suffix]
    start = stream_start(suffix, content)
    refused = 0
    for _ in range(count):
        damaged = bytearray(content)
        damaged[rng.integers(start, len(content))] ^= 1 << int(rng.integers(8))
        refused += outcome(tmp_path / f"scan{suffix}", bytes(damaged)) == "refused"
    # Only a few bits, such as the time stamp of gzip, mean nothing to the voxels.
    assert refused >= 0.95 * count


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files(tmp_path, originals, suffix, count):
    rng = np.random.default_rng(3)
    content = originals[suffix]
    lengths = {0, 1, 2, 10, 100, 347, 348, 351, 352, len(content) - 1, len(content) - 8}
    lengths |= set(rng.integers(0, len(content), count).tolist())
    for length in lengths:
        assert outcome(tmp_path / f"scan{suffix}", content[:length]) == "refused"


def fields_at(record, position):
    return {
        name
        for name, (dtype, offset, *_) in record.fields.items()
        if offset <= position < offset + dtype.itemsize
    }


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_mutated_binary_headers(tmp_path, originals, suffix, count):
    rng = np.random.default_rng(4)
    content = originals[suffix]
    content = gzip.decompress(content) if suffix != ".nii" else content
    record, size = (MGH, MGH.itemsize) if suffix == ".mgz" else (NIFTI1, 352)
    seen = {"refused": 0, "same": 0, "valid": 0}
    for _ in range(count):
        damaged = bytearray(content)
        touched = set()
        for position in rng.choice(size, rng.integers(1, 4), replace=False):
            damaged[position] = rng.integers(256)
            touched |= fields_at(record, position)
        packed = bytes(damaged) if suffix == ".nii" else gzip.compress(bytes(damaged), 1)
        free = bool(touched & FREE)
        seen[outcome(tmp_path / f"scan{suffix}", packed, geometry_is_free=free)] += 1
    assert seen["refused"] > 0


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_mutated_text_headers(tmp_path, originals, suffix, count):
    rng = np.random.default_rng(5)
    content = originals[suffix]
    start = stream_start(suffix, content)
    for _ in range(count):
        damaged = bytearray(content)
        touched = b""
        for position in rng.integers(0, start, rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
            line = content.rfind(b"\n", 0, position) + 1
            end = content.index(b"\n", position) + 1
            # A line end that is lost joins the next line to this one.
            touched += content[line : content.find(b"\n", end) if end == position + 1 else end]
        free = any(
            word in touched.lower()
            for word in (b"space", b"origin", b"matrix", b"offset", b"spacing")
        )
        outcome(tmp_path / f"scan{suffix}", bytes(damaged), geometry_is_free=free)


def member(data, *, level=6, flags=0, extra=b"", crc=None, size=None):
    """One gzip member made by hand."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = compressor.compress(data) + compressor.flush()
    head = bytes([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 255]) + extra
    crc = zlib.crc32(data) if crc is None else crc
    size = len(data) if size is None else size
    return head + body + crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")


def variants(raw, rng):
    """Variant files of a scan: name, content, and what must come of it."""
    cut = int(rng.integers(1, len(raw)))
    junk = rng.integers(1, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    whole = member(raw)
    yield "two members", member(raw[:cut]) + member(raw[cut:]), "same"
    yield "many members", b"".join(member(raw[i : i + 97]) for i in range(0, len(raw), 97)), "same"
    yield "empty member first", member(b"") + whole, "same"
    yield "empty member last", whole + member(b""), "same"
    yield "zeros behind", whole + bytes(int(rng.integers(1, 600))), "same"
    yield "stored", member(raw, level=0), "same"
    yield "file name", member(raw, flags=8, extra=b"name.nii\0"), "same"
    yield "extra field", member(raw, flags=4, extra=b"\4\0abcd"), "same"
    yield "not compressed", raw, "same"
    yield "junk behind", whole + junk, "refused"
    yield "another scan behind", whole + member(raw[:-1] + b"\x55"), "refused"
    yield "the same scan behind", whole + whole, "same"
    yield "bytes missing", member(raw[:-cut]), "refused"
    yield "bytes too many", member(raw + junk), "refused"
    yield "wrong checksum", member(raw, crc=int(rng.integers(2**32))), "refused"
    yield "wrong size", member(raw, size=len(raw) + int(rng.integers(1, 9))), "refused"
    yield "no trailer", whole[:-8], "refused"
    yield "half a trailer", whole[: -int(rng.integers(1, 8))], "refused"
    yield (
        "second member cut",
        member(raw[:cut]) + member(raw[cut:])[: -int(rng.integers(1, 9))],
        "refused",
    )
    yield "second member wrong", member(raw[:cut]) + member(raw[cut:], crc=1), "refused"
    yield "gzip twice", member(whole), "refused"
    yield "zlib", zlib.compress(raw), "refused"
    yield "only the magic", b"\x1f\x8b", "refused"
    yield "reserved method", b"\x1f\x8b\x07" + whole[3:], "refused"


@pytest.mark.parametrize("rounds", [3, pytest.param(22, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan"])
def test_gzip_variants(tmp_path, originals, name, rounds):
    rng = np.random.default_rng(6)
    for _ in range(rounds):
        for kind, content, expected in variants(originals[".nii"], rng):
            assert outcome(tmp_path / name, content) == expected, kind


def test_the_error_says_what_was_found_and_expected(tmp_path, originals):
    path = tmp_path / "scan.nii"
    path.write_bytes(originals[".nii"][:-10])
    with pytest.raises(SizeMismatch, match=r"content is 2982 bytes; expected 2992 bytes"):
        read(path)
    path.write_bytes(member(originals[".nii"], crc=1))
    with pytest.raises(DamagedStream, match="copy or download the file again"):
        read(path)


@pytest.mark.parametrize("offset", [-100.0, 0.0, 348.0, 352.5, 1e9, np.nan, np.inf])
def test_a_wrong_vox_offset_is_refused(tmp_path, originals, offset):
    head = nib.Nifti1Header(originals[".nii"][:348], check=False)
    head["vox_offset"] = offset
    content = head.binaryblock + originals[".nii"][348:]
    assert outcome(tmp_path / "scan.nii", content) == "refused"


def extended(originals, *sizes, room=None, flag=b"\1\0\0\0", claimed=None):
    content = b"".join(
        int(s if claimed is None else claimed).to_bytes(4, "little", signed=True)
        + b"\4\0\0\0"
        + b"x" * (s - 8)
        for s in sizes
    )
    room = len(content) if room is None else room
    head = nib.Nifti1Header(originals[".nii"][:348], check=False)
    head["vox_offset"] = 352 + room
    return head.binaryblock + flag + content.ljust(room, b"\0") + originals[".nii"][352:]


def test_extension_chains(tmp_path, originals):
    path = tmp_path / "scan.nii"
    assert outcome(path, extended(originals, 16)) == "same"
    assert outcome(path, extended(originals, 32, 48)) == "same"
    assert outcome(path, extended(originals, 32, room=64)) == "same"
    for claimed in (2**31 - 16, -16, 0, 7, 64):
        assert outcome(path, extended(originals, 32, claimed=claimed)) == "refused"
    # An extension slipped in without moving vox_offset shifts the voxels.
    raw = originals[".nii"]
    slipped = raw[:348] + b"\1\0\0\0" + (2**31 - 1).to_bytes(4, "little") + bytes(12) + raw[352:]
    assert outcome(path, slipped) == "refused"


@pytest.mark.parametrize("dims", [(0, 5, 6), (-5, 5, 6), (12, 11, 9), (12, 11, 11), (11, 12, 20)])
def test_wrong_dimensions_are_refused(tmp_path, originals, dims):
    head = nib.Nifti1Header(originals[".nii"][:348], check=False)
    head["dim"][1:4] = dims
    assert outcome(tmp_path / "scan.nii", head.binaryblock + originals[".nii"][348:]) == "refused"
