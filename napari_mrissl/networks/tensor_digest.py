"""A digest of all tensors of a safetensors file, which the file itself carries: it has no checksum.

SHA-256 of names, types, shapes and bytes; the card beside them may change without it.
"""

from __future__ import annotations

import hashlib
import json
from mmap import mmap

_LENGTH = 8
"""Bytes of the header's length, with which a file begins."""


def digest_of(content: bytes | mmap) -> str:
    """SHA-256 of the tensors of a file whose header is sound."""
    found = hashlib.sha256()
    with memoryview(content) as view:
        end = _header_end(content)
        header = json.loads(content[_LENGTH:end])
        header.pop("__metadata__", None)
        for name, entry in sorted(header.items()):
            first, last = entry["data_offsets"]
            found.update(json.dumps([name, entry["dtype"], entry["shape"], last - first]).encode())
            found.update(view[end + first : end + last])
    return found.hexdigest()


def with_digest(content: bytes, mark: str) -> bytearray:
    """The file with its digest where a mark of the same length was left for it in its header."""
    found = bytearray(content)
    start = found.index(mark.encode(), _LENGTH, _header_end(content))
    found[start : start + len(mark)] = digest_of(content).encode()
    return found


def _header_end(content: bytes | mmap) -> int:
    return _LENGTH + int.from_bytes(content[:_LENGTH], "little")
