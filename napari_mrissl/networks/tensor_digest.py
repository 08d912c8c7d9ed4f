"""A digest of all tensors of a safetensors file, which the file itself carries: it has no checksum.

SHA-256 of names, types, shapes and bytes; the card beside them may change without it.
"""

from __future__ import annotations

import hashlib
import json

_LENGTH = 8
"""Bytes of the header's length, with which a file begins."""


def digest_of(content: bytes | bytearray) -> str:
    """SHA-256 of the tensors of a file whose header is sound."""
    view = memoryview(content)
    end = _header_end(view)
    header = json.loads(bytes(view[_LENGTH:end]))
    header.pop("__metadata__", None)
    found = hashlib.sha256()
    for name, entry in sorted(header.items()):
        first, last = entry["data_offsets"]
        found.update(json.dumps([name, entry["dtype"], entry["shape"], last - first]).encode())
        found.update(view[end + first : end + last])
    return found.hexdigest()


def with_digest(content: bytes, mark: str) -> bytearray:
    """The file with its digest where a mark of the same length was left for it in its header."""
    found = bytearray(content)
    start = found.index(mark.encode(), _LENGTH, _header_end(memoryview(content)))
    found[start : start + len(mark)] = digest_of(content).encode()
    return found


def _header_end(view: memoryview) -> int:
    return _LENGTH + int.from_bytes(view[:_LENGTH], "little")
