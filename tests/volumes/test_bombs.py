"""F3: files that claim or become far more than they are cost almost no memory."""

import subprocess
import sys
import zlib

import deflate
import nibabel as nib
import numpy as np
import pytest

MEMORY = 64 * 2**20
GIB = 2**30

# Reads a file in a fresh process and tells the error's name and the growth of its memory.
PROBE = """
import os, sys, time
from napari_mrissl.volumes import ScanError, read

def peak():
    # Not getrusage: its peak is inherited from the process that started this one.
    status = open("/proc/self/status").read()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

if os.path.isdir(sys.argv[1]):
    import SimpleITK  # what its import takes is not the bomb's
before, start = peak(), time.process_time()
try:
    read(sys.argv[1])
    name = "opened"
except ScanError as error:
    name = type(error).__name__
print(name, peak() - before, round(time.process_time() - start, 3))
"""


def nifti_header(*dims, datatype=np.uint8):
    header = nib.Nifti1Header()
    header.set_data_dtype(datatype)
    header["dim"] = [len(dims), *dims, *[1] * (7 - len(dims))]
    header.set_sform(np.eye(4), 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + bytes(4)


def zeros_deflated(head, size):
    """A deflated stream of ``head`` and then zeros, ``size`` bytes in all, quickly."""
    block = 2**24
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers to what was before: the same bytes serve again.
    repeated = compressor.compress(bytes(block)) + compressor.flush(zlib.Z_FULL_FLUSH)
    whole, rest = divmod(size - len(head), block)
    return body + repeated * whole + compressor.compress(bytes(rest)) + compressor.flush()


def summed(function, head, size):
    """A checksum of ``head`` and then zeros, ``size`` bytes in all."""
    total, block = function(head), bytes(2**24)
    whole, rest = divmod(size - len(head), len(block))
    for _ in range(whole):
        total = function(block, total)
    return function(bytes(rest), total)


def zeros_gzip(head, size):
    """A gzip member of ``head`` and then zeros, ``size`` bytes in all."""
    start, crc = b"\x1f\x8b\x08" + bytes(6) + b"\xff", summed(deflate.crc32, head, size)
    ending = crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return start + zeros_deflated(head, size) + ending


def bombs():
    yield "dims 32767^3", ".nii", lambda: nifti_header(*[32767] * 3) + bytes(5000), "TooLarge"
    yield (
        "dims 32767^3 gz",
        ".nii.gz",
        lambda: zeros_gzip(nifti_header(*[32767] * 3), 9000),
        "TooLarge",
    )
    yield (
        "seven dims",
        ".nii",
        lambda: nifti_header(2, 2, 2, *[32767] * 4) + bytes(99),
        "UnsupportedVoxels",
    )
    yield (
        "small scan, 1 GiB",
        ".nii.gz",
        lambda: zeros_gzip(nifti_header(16, 16, 16), GIB),
        "SizeMismatch",
    )
    yield (
        "256 MiB scan, 1 GiB",
        ".nii.gz",
        lambda: zeros_gzip(nifti_header(1024, 512, 512), GIB),
        "SizeMismatch",
    )
    yield (
        "1 GiB as its header says",
        ".nii.gz",
        lambda: zeros_gzip(nifti_header(1024, 1024, 1024), 352 + GIB),
        "TooLarge",
    )
    yield (
        "frames of 100 GiB",
        ".nii.gz",
        lambda: zeros_gzip(nifti_header(256, 256, 256, 6400), GIB),
        "TooLarge",
    )
    yield (
        "four members of 1 GiB",
        ".nii.gz",
        lambda: zeros_gzip(nifti_header(512, 512, 512), GIB) + 3 * zeros_gzip(b"", GIB),
        "SizeMismatch",
    )
    yield (
        "gzip in gzip",
        ".nii.gz",
        lambda: deflate.gzip_compress(zeros_gzip(nifti_header(16, 16, 16), GIB)),
        "UnknownFormat",
    )
    yield (
        "extension of 2 GiB",
        ".nii",
        lambda: (
            nifti_header(4, 4, 4)[:348]
            + b"\1\0\0\0"
            + (2**31 - 1).to_bytes(4, "little")
            + bytes(76)
        ),
        "SizeMismatch",
    )
    yield "MGZ of 1 GiB", ".mgz", lambda: zeros_gzip(mgh_header(16, 16, 16), GIB), "SizeMismatch"
    yield "NRRD of 1 GiB", ".nrrd", lambda: nrrd_header(16) + zeros_gzip(b"", GIB), "SizeMismatch"
    yield (
        "NRRD of 1 GiB as it says",
        ".nrrd",
        lambda: nrrd_header(1024) + zeros_gzip(b"", GIB),
        "TooLarge",
    )
    yield "NRRD of 10^27 voxels", ".nrrd", lambda: nrrd_header(10**9) + bytes(99), "TooLarge"
    big = 2**31 - 1
    yield "MGH of 2^93 voxels", ".mgh", lambda: mgh_header(big, big, big) + bytes(99), "BadGeometry"
    yield "MetaImage of 1 GiB", ".mha", lambda: meta_header(16) + zeros_zlib(GIB), "SizeMismatch"
    yield (
        "MetaImage of 1 GiB as it says",
        ".mha",
        lambda: meta_header(1024) + zeros_zlib(GIB),
        "TooLarge",
    )
    yield "MetaImage of 10^27 voxels", ".mha", lambda: meta_header(10**9) + bytes(99), "TooLarge"
    yield (
        "NRRD header without end",
        ".nrrd",
        lambda: b"NRRD0004\n" + b"# no voxels\n" * 10**6,
        "DamagedHeader",
    )
    yield (
        "MetaImage header without end",
        ".mha",
        lambda: b"NDims = 3\n" + b"".join(b"K%d = 1\n" % k for k in range(10**6)),
        "DamagedHeader",
    )
    yield (
        "extension chain of a million",
        ".nii",
        lambda: nifti_chain(10**6),
        "DamagedHeader",
    )


def mgh_header(*dims):
    return b"".join(n.to_bytes(4, "big") for n in (1, *dims, 1, 0, 0)) + bytes(284 - 28)


def nifti_chain(count):
    """A million extensions of 16 bytes, and no voxel behind them."""
    head = nib.Nifti1Header(nifti_header(9, 9, 9)[:348])
    head["vox_offset"] = 352 + 16 * count
    links = (16).to_bytes(4, "little") + b"\6\0\0\0" + bytes(8)
    return head.binaryblock + b"\1\0\0\0" + links * count


def zeros_zlib(size):
    return b"\x78\xda" + zeros_deflated(b"", size) + summed(zlib.adler32, b"", size).to_bytes(4)


def meta_header(size):
    return (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = True\n"
        f"DimSize = {size} {size} {size}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    ).encode()


def nrrd_header(size):
    return (
        f"NRRD0004\ntype: uint8\ndimension: 3\nspace: LPS\nsizes: {size} {size} {size}\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: gzip\n\n"
    ).encode()


@pytest.mark.parametrize(("suffix", "make", "expected"), [
    pytest.param(*bomb, id=name) for name, *bomb in bombs()
])  # fmt: skip
def test_bombs_are_refused_cheaply(tmp_path, suffix, make, expected):
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(make())
    name, growth = probed(path)
    assert name == expected
    assert growth <= MEMORY


def probed(path):
    """The error's name and the growth of memory of a process that opens a path."""
    result = subprocess.run(
        [sys.executable, "-c", PROBE, path], capture_output=True, encoding="utf-8", check=True
    )
    print(path.name, result.stdout)
    name, growth, seconds = result.stdout.split()
    assert float(seconds) <= 1  # of processor time; 0.15 s is the most that was seen
    return name, int(growth)


def dicom(number, *, rows=8, columns=7, syntax="1.2.840.10008.1.2.1", zeros=0):
    """One slice in explicit little endian, its data set deflated where the syntax says so."""

    def element(group, tag, kind, value):
        value = value.encode() if isinstance(value, str) else value
        value += b"\0" * (len(value) % 2)
        length = len(value).to_bytes(4, "little")
        length = b"\0\0" + length if kind == "OW" else length[:2]
        head = group.to_bytes(2, "little") + tag.to_bytes(2, "little")
        return head + kind.encode() + length + value

    def short(value):
        return value.to_bytes(2, "little")

    image = "1.2.840.10008.5.1.4.1.1.4"
    meta = element(2, 2, "UI", image) + element(2, 3, "UI", f"1.2.3.{number}")
    meta += element(2, 0x10, "UI", syntax)
    body = b"".join(
        element(*part)
        for part in (
            (0x8, 0x16, "UI", image),
            (0x8, 0x18, "UI", f"1.2.3.{number}"),
            (0x8, 0x60, "CS", "MR"),
            (0x18, 0x50, "DS", "1"),
            (0x20, 0xD, "UI", "1.2.9"),
            (0x20, 0xE, "UI", "1.2.3"),
            (0x20, 0x13, "IS", str(number)),
            (0x20, 0x32, "DS", f"0\\0\\{number}"),
            (0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0"),
            (0x28, 0x2, "US", short(1)),
            (0x28, 0x4, "CS", "MONOCHROME2"),
            (0x28, 0x10, "US", short(rows)),
            (0x28, 0x11, "US", short(columns)),
            (0x28, 0x30, "DS", "1\\1"),
            (0x28, 0x100, "US", short(16)),
            (0x28, 0x101, "US", short(16)),
            (0x28, 0x102, "US", short(15)),
            (0x28, 0x103, "US", short(0)),
            (0x7FE0, 0x10, "OW", bytes(2 * 8 * 7)),
        )
    )
    if syntax.endswith(".99"):
        body = zeros_deflated(body, len(body) + zeros)
    group = element(2, 0, "UL", len(meta).to_bytes(4, "little"))
    return bytes(128) + b"DICM" + group + meta + body


HUGE = {"rows": 65535, "columns": 65535}
DICOM_BOMBS = {
    "slices of 65535 x 65535": HUGE,
    "run-length slices of 65535 x 65535": {**HUGE, "syntax": "1.2.840.10008.1.2.5"},
    "JPEG 2000 slices of 65535 x 65535": {**HUGE, "syntax": "1.2.840.10008.1.2.4.90"},
    "1 GiB of zeros deflated": {"syntax": "1.2.840.10008.1.2.1.99", "zeros": GIB},
}


def dicom_folder(folder, **what):
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.dcm").write_bytes(dicom(number, **what))
    return folder


def test_the_harmless_series_is_opened(tmp_path):
    assert probed(dicom_folder(tmp_path / "plain"))[0] == "opened"
    deflated = dicom_folder(tmp_path / "deflated", syntax="1.2.840.10008.1.2.1.99")
    assert probed(deflated)[0] in {"opened", "UnsupportedVoxels"}


@pytest.mark.parametrize("name", DICOM_BOMBS)
def test_a_folder_of_dicom_bombs_is_refused_cheaply(tmp_path, name):
    error, growth = probed(dicom_folder(tmp_path / "series", **DICOM_BOMBS[name]))
    assert error in {"TooLarge", "DamagedStream", "UnknownFormat"}
    assert growth <= MEMORY
