"""One line of a journal: how it is written, sealed with a checksum, and read back.

One JSON object a line. The first line names the format and holds the header; every
other line is a record with a contiguous ``index``, nanoseconds ``t_ns`` on a monotonic
clock since the journal began, and the ``event``. Each line ends with ``"crc32"``, eight
hexadecimal digits over all of the line before it, and counts once its newline is there.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_mrissl.errors import MrisslError

_FORMAT = "napari-mrissl journal"
_VERSION = 2
_SEAL = re.compile(rb',"crc32":"([0-9a-f]{8})"\}\n\Z')


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a journal: its index, monotonic nanoseconds, and what was appended."""

    index: int
    t_ns: int
    event: dict[str, Any]


def first_line(header: Mapping[str, Any]) -> dict[str, Any]:
    """What the first line of a journal says."""
    return {"format": _FORMAT, "version": _VERSION, "header": dict(header)}


def encoded(content: Mapping[str, Any], path: Path) -> bytes:
    """A whole line; see `as_json`."""
    return sealed(as_json(content, path))


def sealed(text: str) -> bytes:
    """A line: the JSON object with the checksum of its bytes as its last member."""
    body = text[:-1].encode()
    return body + b',"crc32":"%08x"}\n' % zlib.crc32(body)


def is_sealed(line: bytes) -> bool:
    """Whether a line, with its newline, is whole and matches its checksum."""
    seal = _SEAL.search(line)
    return seal is not None and int(seal[1], 16) == zlib.crc32(line[: seal.start()])


def as_json(content: Mapping[str, Any], path: Path) -> str:
    """A mapping as JSON.

    Raises
    ------
    MrisslError
        If it is none, as with NaN; it names the journal's path.
    """
    try:
        return json.dumps(dict(content), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise MrisslError(
            f"an event cannot be written as JSON ({error})",
            where=path,
            expected="text, finite numbers, lists and mappings",
        ) from error


def not_only_torn(line: bytes, number: int, path: Path) -> MrisslError | None:
    """A whole record whose newline is another character was damaged; a part of one is torn."""
    if _SEAL.search(line[:-1] + b"\n"):
        return MrisslError(f"line {number} has no end", where=path, expected="a newline")
    return None


def parsed_header(line: bytes, path: Path, longest_line: int) -> dict[str, Any]:
    """The header, of a journal's first line.

    Raises
    ------
    MrisslError
        If it is no first line of ours, or damaged.
    """
    if not line.endswith(b"\n") and len(line) <= longest_line:
        raise MrisslError("no complete first line", where=path, expected="a journal")
    content = _object(line, 1, path, longest_line)
    header = content.get("header")
    if content.get("format") != _FORMAT or not isinstance(header, dict):
        raise MrisslError("not a journal", where=path, expected=f'"format": "{_FORMAT}"')
    if content.get("version") != _VERSION:
        raise MrisslError("journal of another version", where=path, expected=f"version {_VERSION}")
    _check_seal(line, 1, path)
    return header


def parsed_record(
    line: bytes, number: int, path: Path, before: list[Record], longest_line: int
) -> Record:
    """The record of a line that follows those before it; numbers count from 1.

    Raises
    ------
    MrisslError
        If it is damaged, or does not follow them.
    """
    content = _object(line, number, path, longest_line)
    _check_seal(line, number, path)
    index, t_ns, event = (content.get(key) for key in ("index", "t_ns", "event"))
    latest = before[-1].t_ns if before else 0
    if type(index) is not int or index != len(before):
        raise MrisslError(f"line {number} has a wrong index", where=path, expected=f"{len(before)}")
    if type(t_ns) is not int or not latest <= t_ns < 1 << 63:
        raise MrisslError(
            f"line {number} has a wrong time stamp",
            where=path,
            expected=f"t_ns, whole nanoseconds >= {latest}",
        )
    if not isinstance(event, dict):
        raise MrisslError(f"line {number} has no event", where=path, expected="a JSON object")
    return Record(index, t_ns, event)


def _object(line: bytes, number: int, path: Path, longest_line: int) -> dict[str, Any]:
    if len(line) > longest_line:
        raise MrisslError(f"line {number} is longer than {longest_line} bytes", where=path)
    try:
        content = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MrisslError(
            f"line {number} is not JSON",
            where=path,
            expected="one JSON object a line",
            remedy="the file is damaged; use a copy",
        ) from error
    if not isinstance(content, dict):
        raise MrisslError(f"line {number} is no JSON object", where=path)
    return content


def _check_seal(line: bytes, number: int, path: Path) -> None:
    if not is_sealed(line):
        raise MrisslError(
            f"line {number} does not match its checksum",
            where=path,
            remedy="the file is damaged; use a copy",
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
