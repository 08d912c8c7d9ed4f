"""How a volume lies in its shard, after the zarr v3 specification: index, chunks, checksums.

One array is one shard: cubes of 64 voxels, each packed by Blosc (LZ4 of transposed bits) and
followed by its CRC-32C; at the end an index with the place of each. Everything is laid down
here, so nothing of a shard's own words is believed but the index, whose every number is
checked before it is used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.packs.manifest import PackEntry

SIDE = 64
"""Voxels along each side of a chunk."""

VOLUMES = "volumes"
SHARD = "c.0.0.0"
METADATA = "zarr.json"
DIMENSIONS = ("s", "a", "r")

LARGEST_METADATA = 16 << 10

_EMPTY = np.iinfo(np.uint64).max
_CHECKSUM = 4
_BLOSC_HEADER = 16

Cell = tuple[int, int, int]


def folder_of(identity: str) -> str:
    """Where a volume's array lies in the pack: 256 folders keep each of them short."""
    return f"{VOLUMES}/{identity[:2]}/{identity}"


def shard_of(identity: str) -> str:
    """Where a volume's shard lies in the pack."""
    return f"{folder_of(identity)}/{SHARD}"


def grid_of(shape: tuple[int, int, int]) -> Cell:
    """Chunks along each axis."""
    s, a, r = (math.ceil(extent / SIDE) for extent in shape)
    return s, a, r


def index_bytes(shape: tuple[int, int, int]) -> int:
    """Bytes of the index at a shard's end."""
    return 16 * math.prod(grid_of(shape)) + _CHECKSUM


def largest_shard(entry: PackEntry) -> int:
    """More bytes than any shard of this shape and type has."""
    return math.prod(grid_of(entry.shape)) * _largest_chunk(entry) + index_bytes(entry.shape)


def cells_between(lower: Cell, upper: Cell) -> Iterator[Cell]:
    """The chunks that hold voxels from ``lower`` up to ``upper``, that excluded."""
    s, a, r = (
        range(low // SIDE, (high - 1) // SIDE + 1) for low, high in zip(lower, upper, strict=True)
    )
    return itertools.product(s, a, r)


def box_of(cell: Cell, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
    """Which voxels of the volume a chunk holds."""
    s, a, r = (
        slice(k * SIDE, min((k + 1) * SIDE, extent)) for k, extent in zip(cell, shape, strict=True)
    )
    return s, a, r


def parse_index(content: bytes, entry: PackEntry) -> NDArray[np.uint64]:
    """Offset and length of every chunk, (S, A, R, 2); both all ones where a chunk is empty.

    Raises
    ------
    MrisslError
        If the index is damaged, or a chunk would lie beyond the shard or is larger than can be.
    """
    body = content[:-_CHECKSUM]
    if _crc32c(body) != content[-_CHECKSUM:]:
        raise damaged(entry, "the index of the shard fails its checksum")
    index = np.frombuffer(body, "<u8").reshape(*grid_of(entry.shape), 2)
    offsets, lengths = index[..., 0], index[..., 1]
    there = (offsets != _EMPTY) | (lengths != _EMPTY)
    end = np.uint64(entry.bytes - len(content))
    # Each alone first: their sum could overflow.
    usable = (offsets <= end) & (lengths <= np.uint64(_largest_chunk(entry)))
    usable &= (lengths >= np.uint64(_BLOSC_HEADER + _CHECKSUM)) & (lengths <= end)
    usable &= offsets <= end - np.minimum(lengths, end)
    if not usable[there].all():
        raise damaged(entry, "the index of the shard points beyond it")
    return index


def span_of(index: NDArray[np.uint64], cell: Cell) -> tuple[int, int] | None:
    """Where a chunk lies in the shard; None for one that is empty."""
    offset, length = (int(number) for number in index[cell])
    return None if offset == length == _EMPTY else (offset, offset + length)


def decode(content: bytes, entry: PackEntry) -> NDArray[Any]:
    """The voxels of one chunk, (64, 64, 64) in native byte order, read-only.

    Raises
    ------
    MrisslError
        If it is damaged, or would expand to another size.
    """
    from numcodecs import blosc

    packed = content[:-_CHECKSUM]
    if _crc32c(packed) != content[-_CHECKSUM:]:
        raise damaged(entry, "a chunk fails its checksum")
    dtype = np.dtype(entry.dtype).newbyteorder("<")
    size = SIDE**3 * dtype.itemsize
    said, length = (int.from_bytes(packed[k : k + 4], "little") for k in (4, 12))
    if said != size or length != len(packed):
        raise damaged(entry, f"a chunk would expand to {said} bytes")
    voxels = np.empty(size, np.uint8)
    try:
        blosc.decompress(packed, voxels)
    except (RuntimeError, ValueError) as error:
        raise damaged(entry, "a chunk cannot be decompressed") from error
    return voxels.view(dtype).reshape(SIDE, SIDE, SIDE).astype(entry.dtype, copy=False)


def damaged(entry: PackEntry, found: str) -> MrisslError:
    """A refusal of a damaged shard."""
    return MrisslError(
        found,
        where=entry.name,
        expected="the shard as it was written",
        remedy=f"copy the pack again, or delete {folder_of(entry.identity)} in it and pack again",
    )


def expected_metadata(entry: PackEntry) -> dict[str, Any]:
    """What ``zarr.json`` must say of an array, but for its attributes."""
    dtype = np.dtype(entry.dtype)
    blosc = {
        "typesize": dtype.itemsize,
        "cname": "lz4",
        "clevel": 5,
        "shuffle": "bitshuffle",
        "blocksize": 0,
    }
    # The specification leaves the byte order out where there is none.
    plain = {"name": "bytes", "configuration": {"endian": "little"}}
    first = plain if dtype.itemsize > 1 else {"name": "bytes"}
    sharding = {
        "chunk_shape": [SIDE] * 3,
        "codecs": [first, {"name": "blosc", "configuration": blosc}, {"name": "crc32c"}],
        "index_codecs": [plain, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "shape": list(entry.shape),
        "data_type": entry.dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [SIDE * n for n in grid_of(entry.shape)]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0.0 if dtype.kind == "f" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "dimension_names": list(DIMENSIONS),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def _largest_chunk(entry: PackEntry) -> int:
    """Blosc stores what does not get smaller, with a header."""
    return SIDE**3 * np.dtype(entry.dtype).itemsize + _BLOSC_HEADER + _CHECKSUM


def _crc32c(content: bytes) -> bytes:
    import google_crc32c

    return int(google_crc32c.value(content)).to_bytes(_CHECKSUM, "little")
