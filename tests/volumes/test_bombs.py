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
import sys, time
from napari_mrissl.volumes import ScanError, read

def peak():
    # Not getrusage: its peak is inherited from the process that started this one.
    status = open("/proc/self/status").read()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

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


def zeros_gzip(head, size):
    """A gzip member of ``head`` and then zeros, ``size`` bytes in all, quickly."""
    block = 2**24
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    repeated = compressor.compress(bytes(block)) + compressor.flush(zlib.Z_FULL_FLUSH)
    whole, rest = divmod(size - len(head), block)
    body += repeated * whole + compressor.compress(bytes(rest)) + compressor.flush()
    crc = deflate.crc32(head)
    for _ in range(whole):
        crc = deflate.crc32(bytes(block), crc)
    crc = deflate.crc32(bytes(rest), crc)
    start = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return start + body + crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")


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


def mgh_header(*dims):
    return b"".join(n.to_bytes(4, "big") for n in (1, *dims, 1, 0, 0)) + bytes(284 - 28)


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
    result = subprocess.run(
        [sys.executable, "-c", PROBE, path], capture_output=True, text=True, check=True
    )
    print(result.stdout, path.stat().st_size)
    name, growth, _seconds = result.stdout.split()
    assert name == expected
    assert int(growth) <= MEMORY
