"""Bytes of a file, raw or compressed, with every checksum and length verified.

Both usual readers stop when they have the bytes they want, so that a damaged stream
goes unnoticed. Here a compressed stream is always read to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import deflate
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from napari_mrissl.volumes.budget import check_expansion, check_voxels
from napari_mrissl.volumes.errors import DamagedStream, SizeMismatch, UnreadableFile

Progress = Callable[[float], None]

# The type stubs call it an instance.
_INFLATE_ERROR = cast("type[Exception]", isal_zlib.error)
_GZIP_MAGIC = b"\x1f\x8b"
_WINDOW_BITS = {"gzip": 31, "zlib": 15}
_CHUNK_IN = 1 << 18
_CHUNK_OUT = 1 << 22
# libdeflate is the fastest but works in one go, holding the interpreter lock: larger
# streams are decoded in pieces by ISA-L, which lets a viewer breathe.
_ONE_SHOT = 80 * 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """Where encoded bytes lie: from byte ``start`` of a file to its end."""

    path: Path
    start: int = 0
    encoding: Literal["raw", "gzip", "zlib"] = "raw"

    @classmethod
    def sniffed(cls, path: Path) -> Source:
        """The whole file, gzip or raw as its first two bytes say."""
        return cls(path, 0, "gzip" if _prefix(path, 0, 2) == _GZIP_MAGIC else "raw")

    def head(self, size: int) -> bytes:
        """At most the first ``size`` decoded bytes, unverified."""
        if self.encoding == "raw":
            return _prefix(self.path, self.start, size)
        # Enough for a stream that compresses nothing and comes in many small members.
        prefix = _prefix(self.path, self.start, 2 * size + _CHUNK_IN)
        decoded = b""
        for piece in _pieces(self, memoryview(prefix), size):
            decoded += piece[: size - len(decoded)]
            if len(decoded) >= size:
                break
        return decoded


def read_exactly(
    source: Source,
    total: int,
    window: tuple[int, int],
    *,
    tail: int = 0,
    progress: Progress | None = None,
) -> tuple[NDArray[np.uint8], bytes]:
    """Decode a source of known length and keep a window of it.

    Parameters
    ----------
    source
        What to decode.
    total
        Decoded bytes that there must be.
    window
        First byte to keep and the one after the last.
    tail
        Decoded bytes that may follow the ``total``.
    progress
        Called with the fraction done, 0 to 1.

    Returns
    -------
    kept, rest
        The window as uint8 and what followed the ``total``.

    Raises
    ------
    SizeMismatch, DamagedStream, TooLarge
    """
    check_voxels(window[1] - window[0], source.path)
    if source.encoding == "raw":
        return _read_raw(source, total, window, tail)
    compressed = memoryview(_prefix(source.path, source.start, None))
    check_expansion(total, len(compressed), source.path)
    declared = int.from_bytes(compressed[-4:], "little")
    plausible = source.encoding == "gzip" and (declared - total) % 2**32 <= tail
    if plausible and total + tail <= _ONE_SHOT:
        whole = _one_shot(compressed, declared)
        if whole is not None and total <= len(whole) <= total + tail:
            return whole[window[0] : window[1]], whole[total:].tobytes()
    if source.encoding == "gzip" and not plausible:
        # Several members, or damage, or a bomb: look at all of it before keeping any.
        _read_stream(source, compressed, total, (0, 0), tail, None)
    return _read_stream(source, compressed, total, window, tail, progress)


def _read_raw(
    source: Source, total: int, window: tuple[int, int], tail: int
) -> tuple[NDArray[np.uint8], bytes]:
    available = _size(source.path) - source.start
    if not total <= available <= total + tail:
        raise _mismatch(source.path, available, total)
    try:
        kept = np.fromfile(
            source.path, np.uint8, window[1] - window[0], offset=source.start + window[0]
        )
    except OSError as error:
        raise _unreadable(source.path, error) from error
    if kept.size != window[1] - window[0]:  # cut while it was read
        raise _mismatch(source.path, window[0] + kept.size, total)
    return kept, _prefix(source.path, source.start + total, tail)


def _one_shot(compressed: memoryview, size: int) -> NDArray[np.uint8] | None:
    """The only member of a gzip file, or None where there is doubt."""
    try:
        whole = deflate.gzip_decompress(compressed, size)
    except deflate.DeflateError:
        return None
    # libdeflate stops after the first member: its trailer must be the file's end, so that
    # nothing but copies of the member can follow it.
    trailer = deflate.crc32(whole).to_bytes(4, "little") + len(whole).to_bytes(4, "little")
    return np.frombuffer(whole, np.uint8) if compressed[-8:] == trailer else None


def _read_stream(
    source: Source,
    compressed: memoryview,
    total: int,
    window: tuple[int, int],
    tail: int,
    progress: Progress | None,
) -> tuple[NDArray[np.uint8], bytes]:
    first, last = window
    kept = np.empty(last - first, np.uint8)
    rest = bytearray()
    position = 0
    for piece in _pieces(source, compressed):
        values = np.frombuffer(piece, np.uint8)
        low, high = max(position, first), min(position + values.size, last)
        if low < high:
            kept[low - first : high - first] = values[low - position : high - position]
        position += values.size
        if position > total:
            rest += piece[max(0, values.size - (position - total)) :]
        if len(rest) > tail:
            raise _mismatch(source.path, position, total, "at least ")
        if progress is not None:
            progress(min(1.0, position / max(total, 1)))
    if position < total:
        raise _mismatch(source.path, position, total)
    return kept, bytes(rest)


def _pieces(source: Source, compressed: memoryview, largest: int = _CHUNK_OUT) -> Iterator[bytes]:
    """Decoded pieces of all members; raises unless the last one ends where the file does."""
    decompressor = _decompressor(source.encoding)
    position = 0
    pending = b""
    while True:
        if not pending:
            pending = bytes(compressed[position : position + _CHUNK_IN])
            position += len(pending)
        ended = not pending
        try:
            piece = decompressor.decompress(pending, largest)
        except _INFLATE_ERROR as error:
            raise _damaged(source.path, str(error)) from error
        if piece:
            yield piece
        pending = decompressor.unconsumed_tail
        if decompressor.eof:
            position -= len(decompressor.unused_data)
            if source.encoding == "gzip" and compressed[position : position + 2] == _GZIP_MAGIC:
                decompressor, pending = _decompressor(source.encoding), b""
                continue
            # Tapes and some archivers pad with zeros.
            if bytes(compressed[position:]).strip(b"\0"):
                raise _damaged(source.path, f"{len(compressed) - position} bytes follow its end")
            return
        if ended and not piece:
            raise _damaged(source.path, "it ends too early")


def _decompressor(encoding: str) -> Any:
    return isal_zlib.decompressobj(wbits=_WINDOW_BITS[encoding])


def _prefix(path: Path, start: int, size: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(-1 if size is None else size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UnreadableFile:
    return UnreadableFile(
        f"cannot be read ({error.strerror or type(error).__name__})",
        where=path,
        expected="a readable file",
        remedy="check the name and the permissions",
    )


def _damaged(path: Path, reason: str) -> DamagedStream:
    return DamagedStream(
        f"damaged ({reason})",
        where=path,
        field="compressed stream",
        expected="a stream that passes its checksum",
        remedy="copy or download the file again",
    )


def _mismatch(path: Path, found: int, expected: int, prefix: str = "") -> SizeMismatch:
    return SizeMismatch(
        f"{prefix}{found} bytes",
        where=path,
        field="content",
        expected=f"{expected} bytes as the header says",
        remedy="copy or download the file again",
    )
