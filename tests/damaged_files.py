"""Damaged copies of one small scan in every format, each with what may come of it."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from napari_mrissl.volumes.mgh import MGH
from napari_mrissl.volumes.nifti_header import NIFTI1

AFFINE = np.array([[0, 0, 2.0, -9], [-1.5, 0, 0, 8], [0, 1, 0, -7], [0, 0, 0, 1]])
# Noise compresses into stored blocks, smooth voxels into Huffman codes: both in one scan.
VOXELS = np.arange(12 * 11 * 10, dtype=np.int16).reshape(12, 11, 10) // 3 * 3 - 500
VOXELS[:, :, 5:] = np.random.default_rng(1).integers(-900, 900, (12, 11, 5))

Files = dict[str, bytes]

SINGLE = (".nii", ".nii.gz", ".nrrd", ".mha", ".mgz")
COMPRESSED = (".nii.gz", ".nrrd", ".mha", ".mgz", "members", "pair gz", "nhdr", "mhd")
EVERY = (*SINGLE, "members", "pair", "pair gz", "nhdr", "mhd")
BINARY_HEADERS = (".nii", ".nii.gz", ".mgz", "pair")
TEXT_HEADERS = (".nrrd", ".mha", "nhdr", "mhd")

# Where a change leaves a valid header that puts or scales the voxels otherwise: nothing
# in the file could tell. The scan must then still have the same stored voxels.
_FREE = {"pixdim", "scl_slope", "scl_inter", "xyzt_units", "qform_code", "sform_code", "quatern"}
_FREE |= {"qoffset", "srow", "good_ras", "delta", "cosines", "center"}
_FREE_WORDS = (b"space", b"origin", b"matrix", b"offset", b"spacing")


@dataclass(frozen=True)
class Damaged:
    """One damaged scan.

    Attributes
    ----------
    what
        What was done to it.
    files
        Content by name; the first is the one to open.
    expected
        ``"same"`` or ``"refused"`` where nothing else is right; ``"either"``; or
        ``"valid"`` where the header may also have become another valid one.
    """

    what: str
    files: Files
    expected: str = "either"

    def write(self, folder: Path) -> Path:
        """Put the files into a folder and return the one to open."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder / next(iter(self.files))


def originals(folder: Path) -> dict[str, Files]:
    """The scan in every format, as nibabel and SimpleITK write it."""
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.header.set_xyzt_units("mm")
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 1)
    nib.save(image, folder / "scan.nii")
    nib.save(image, folder / "scan.nii.gz")
    nib.save(nib.MGHImage(VOXELS, AFFINE), folder / "scan.mgz")
    pair = nib.Nifti1Pair(VOXELS, AFFINE, image.header)
    nib.save(pair, folder / "pair.img")
    for name in ("scan.nrrd", "scan.mha", "apart.nhdr", "apart.mhd"):
        sitk.WriteImage(sitk.ReadImage(folder / "scan.nii"), folder / name, True)
    found = {suffix: _read(folder, f"scan{suffix}") for suffix in SINGLE}
    raw = found[".nii"]["scan.nii"]
    cuts = [0, 300, 352, 1500, len(raw)]
    parts = [member(raw[a:b]) for a, b in itertools.pairwise(cuts)]
    found["members"] = {"scan.nii.gz": b"".join(parts)}
    found["pair"] = _read(folder, "pair.hdr", "pair.img")
    head, voxels = found["pair"].values()
    found["pair gz"] = {"pair.img.gz": member(voxels), "pair.hdr.gz": member(head)}
    found["nhdr"] = _read(folder, "apart.nhdr", "apart.raw.gz")
    found["mhd"] = _read(folder, "apart.mhd", "apart.zraw")
    return found


def _read(folder: Path, *names: str) -> Files:
    return {name: (folder / name).read_bytes() for name in names}


def _stream(kind: str, files: Files) -> tuple[str, int]:
    """Which file holds the compressed bytes, and where they begin."""
    if kind in ("nhdr", "mhd"):
        return list(files)[1], 0
    name = next(iter(files))
    if kind == ".nrrd":
        return name, files[name].index(b"\n\n") + 2
    if kind == ".mha":
        return name, files[name].index(b"LOCAL\n") + 6
    return name, 0


def flips(kind: str, files: Files, count: int) -> Iterator[Damaged]:
    """One flipped bit anywhere in the compressed stream."""
    rng = np.random.default_rng(2)
    name, start = _stream(kind, files)
    for _ in range(count):
        damaged = bytearray(files[name])
        place, bit = int(rng.integers(start, len(damaged))), int(rng.integers(8))
        damaged[place] ^= 1 << bit
        yield Damaged(f"bit {bit} of byte {place}", {**files, name: bytes(damaged)})


def truncations(kind: str, files: Files, count: int) -> Iterator[Damaged]:
    """A file cut short, at random and at the places where headers and blocks end."""
    rng = np.random.default_rng(3)
    name = list(files)[-1] if kind != "pair gz" else next(iter(files))
    whole = files[name]
    lengths = {0, 1, 2, 10, 100, 347, 348, 351, 352, len(whole) - 1, len(whole) - 8}
    if kind == "members":
        starts = [i for i in range(len(whole)) if whole[i : i + 4] == b"\x1f\x8b\x08\0"]
        lengths |= {s + d for s in starts for d in (-8, -1, 0, 1, 9, 10, 11) if s}
    lengths |= set(rng.integers(0, len(whole), count).tolist())
    for length in sorted(n for n in lengths if 0 <= n < len(whole)):
        yield Damaged(f"{length} of {len(whole)} bytes", {**files, name: whole[:length]}, "refused")
    if kind in ("pair", "nhdr", "mhd"):
        # The header cut; a NIfTI pair's ends at byte 348, and a text header's last line end.
        head = next(iter(files))
        needed = 348 if kind == "pair" else len(files[head].rstrip())
        for length in range(0, len(files[head]), 1 if count >= 500 else 11):
            expected = "either" if length >= needed else "refused"
            if kind == "mhd" and needed - 5 <= length < needed:
                continue  # "apart.zra" is a name like any other: the file is not there
            if kind == "nhdr" and length < needed:
                expected = "valid"
            cut = files[head][:length]
            yield Damaged(f"header of {length} bytes", {**files, head: cut}, expected)


def _fields_at(record: np.dtype, position: int) -> set[str]:
    return {
        name
        for name, (dtype, offset, *_) in record.fields.items()
        if offset <= position < offset + dtype.itemsize
    }


def binary_mutations(kind: str, files: Files, count: int) -> Iterator[Damaged]:
    """One to three random bytes of a binary header set to random values."""
    rng = np.random.default_rng(4)
    name = next(iter(files))
    packed = kind not in (".nii", "pair")
    content = gzip.decompress(files[name]) if packed else files[name]
    record, size = (MGH, MGH.itemsize) if kind == ".mgz" else (NIFTI1, min(352, len(content)))
    for _ in range(count):
        damaged = bytearray(content)
        touched = set()
        for position in rng.choice(size, rng.integers(1, 4), replace=False):
            damaged[position] = rng.integers(256)
            touched |= _fields_at(record, int(position))
        written = gzip.compress(bytes(damaged), 1) if packed else bytes(damaged)
        said = ", ".join(sorted(touched))
        yield Damaged(said, {**files, name: written}, "valid" if touched & _FREE else "either")


def text_mutations(kind: str, files: Files, count: int) -> Iterator[Damaged]:
    """One to three random bytes of a text header set to random values."""
    rng = np.random.default_rng(5)
    name = next(iter(files))
    content = files[name]
    _, start = _stream(kind, files)
    start = start or len(content)
    for _ in range(count):
        damaged = bytearray(content)
        touched = b""
        for position in rng.integers(0, start, rng.integers(1, 4)):
            damaged[position] = rng.integers(256)
            line = content.rfind(b"\n", 0, position) + 1
            end = content.index(b"\n", position) + 1
            # A line end that is lost joins the next line to this one.
            touched += content[line : content.find(b"\n", end) if end == position + 1 else end]
        free = any(word in touched.lower() for word in _FREE_WORDS)
        yield Damaged(
            repr(touched[:60]), {**files, name: bytes(damaged)}, "valid" if free else "either"
        )


def mutations(kind: str, files: Files, count: int) -> Iterator[Damaged]:
    """Random changes of a header."""
    return (text_mutations if kind in TEXT_HEADERS else binary_mutations)(kind, files, count)


def member(data, *, level=6, flags=0, extra=b"", crc=None, size=None) -> bytes:
    """One gzip member made by hand."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = compressor.compress(data) + compressor.flush()
    head = bytes([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 255]) + extra
    crc = zlib.crc32(data) if crc is None else crc
    size = len(data) if size is None else size
    return head + body + crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")


def gzip_variants(raw: bytes, name: str, rounds: int) -> Iterator[Damaged]:
    """Legal, odd and broken ways to compress a scan, with random cuts and junk."""
    rng = np.random.default_rng(6)
    for _ in range(rounds):
        for what, content, expected in _variants(raw, rng):
            yield Damaged(what, {name: content}, expected)


def _variants(raw: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes, str]]:
    cut = int(rng.integers(1, len(raw)))
    junk = rng.integers(1, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    whole = member(raw)
    flipped = bytes([raw[cut] ^ 1])
    yield "two members", member(raw[:cut]) + member(raw[cut:]), "same"
    yield "many members", b"".join(member(raw[i : i + 97]) for i in range(0, len(raw), 97)), "same"
    yield "empty member first", member(b"") + whole, "same"
    yield "empty member last", whole + member(b""), "same"
    yield "zeros behind", whole + bytes(int(rng.integers(1, 600))), "same"
    yield "stored", member(raw, level=0), "same"
    yield "file name", member(raw, flags=8, extra=b"name.nii\0"), "same"
    yield "file name with escapes", member(raw, flags=8, extra=b"\x1b[2J../../x\0"), "same"
    yield "extra field", member(raw, flags=4, extra=b"\4\0abcd"), "same"
    yield "largest extra field", member(raw, flags=4, extra=b"\xff\xff" + bytes(65535)), "same"
    yield "comment", member(raw, flags=16, extra=b"no comment\0"), "same"
    yield "not compressed", raw, "same"
    yield "junk behind", whole + junk, "refused"
    yield "another scan behind", whole + member(raw[:-1] + b"\x55"), "refused"
    yield "the same scan behind", whole + whole, "same"
    yield "bytes missing", member(raw[:-cut]), "refused"
    yield "bytes too many", member(raw + junk), "refused"
    yield "wrong checksum", member(raw, crc=int(rng.integers(2**32))), "refused"
    yield "checksum of other voxels", member(raw, crc=zlib.crc32(raw[:-1] + flipped)), "refused"
    yield "wrong size", member(raw, size=len(raw) + int(rng.integers(1, 9))), "refused"
    yield "size 4 GiB less", member(raw, size=0), "refused"
    yield "no trailer", whole[:-8], "refused"
    yield "half a trailer", whole[: -int(rng.integers(1, 8))], "refused"
    second = member(raw[cut:])
    yield "second member cut", member(raw[:cut]) + second[: -int(rng.integers(1, 9))], "refused"
    yield "second member's magic wrong", member(raw[:cut]) + b"\x1f\x8c" + second[2:], "refused"
    yield "second member wrong", member(raw[:cut]) + member(raw[cut:], crc=1), "refused"
    yield "gzip twice", member(whole), "refused"
    yield "zlib", zlib.compress(raw), "refused"
    yield "only the magic", b"\x1f\x8b", "refused"
    yield "wrong magic", b"\x1f\x8c" + whole[2:], "refused"
    yield "reserved method", b"\x1f\x8b\x07" + whole[3:], "refused"
    yield (
        "extra field longer than the file",
        whole[:3] + b"\x04" + whole[4:10] + b"\xff\xff" + whole[10:],
        "refused",
    )
