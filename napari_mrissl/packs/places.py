"""Bytes of a pack's files: from a local folder, or from any URL that fsspec knows."""

from __future__ import annotations

import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

from napari_mrissl.errors import MrisslError, printable

Span = tuple[int, int]
"""First byte, and the one after the last."""

NEAR = 16 << 10
"""Bytes between two spans that are read along: cheaper than one more request."""

_TRIES = 3
_PAUSE_SECONDS = 0.3
# A link is no file of a pack, and a pipe would block.
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)

_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)

# Of a server: too busy, or too many at once; there is no such file.
_LATER = {408, 425, 429}
_MISSING = {404, 410}

T = TypeVar("T")


class Place(ABC):
    """A folder of files that are read in parts.

    Attributes
    ----------
    name
        Its last part, for messages.
    """

    name: str

    @abstractmethod
    def size(self, file: str) -> int:
        """Bytes of a file, by its path below the place with ``/`` between the parts."""

    @abstractmethod
    def _spans(self, file: str, spans: Sequence[Span]) -> list[bytes]:
        """Some spans of a file."""

    def spans(self, file: str, spans: Sequence[Span]) -> list[bytes]:
        """Some spans of a file, in the order they are asked for; near ones are read as one.

        Raises
        ------
        MrisslError
            If the file is not there, is shorter, or cannot be read.
        """
        merged: list[Span] = []
        for first, end in sorted(spans):
            if merged and first <= merged[-1][1] + NEAR:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((first, end))
        read = dict(zip(merged, self._spans(file, merged), strict=True))
        if any(len(content) != end - first for (first, end), content in read.items()):
            raise MrisslError(
                "is shorter than the manifest says, or its server gives no parts of files",
                where=f"{self.name}, {file}",
                remedy="copy the pack again",
            )
        found = []
        for first, end in spans:
            start, content = next((a, read[a, b]) for a, b in merged if a <= first and end <= b)
            found.append(content[first - start : end - start])
        return found

    def read(self, file: str, most: int) -> bytes:
        """All of a file of at most so many bytes.

        Raises
        ------
        MrisslError
            As `spans`, or if the file is larger.
        """
        size = self.size(file)
        if size > most:
            raise MrisslError(
                f"{size} bytes", where=f"{self.name}, {file}", expected=f"at most {most}"
            )
        return self.spans(file, [(0, size)])[0]

    def _refused(self, file: str, reason: str) -> MrisslError:
        return MrisslError(
            f"could not be read ({printable(reason)})",
            where=f"{self.name}, {file}",
            expected="a pack that is whole and can be read",
            remedy="check the name, the connection and your rights",
        )


class LocalPlace(Place):
    """A folder of this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._root = os.path.join(os.path.realpath(folder), "")

    def size(self, file: str) -> int:
        """See `Place.size`."""

        def measured(opened: FileIO) -> int:
            return os.fstat(opened.fileno()).st_size

        return self._with(file, measured)

    def _spans(self, file: str, spans: Sequence[Span]) -> list[bytes]:
        def read(opened: FileIO) -> list[bytes]:
            return [_read_at(opened, first, end) for first, end in spans]

        return self._with(file, read)

    def _with(self, file: str, use: Callable[[FileIO], T]) -> T:
        try:
            path = os.path.realpath(self.folder / file)
            if not path.startswith(self._root):
                raise self._refused(file, "it leads out of the pack")
            with FileIO(os.open(self.folder / file, _FLAGS)) as opened:
                if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                    raise self._refused(file, "no regular file")
                return use(opened)
        except OSError as error:
            raise self._refused(file, error.strerror or type(error).__name__) from error


class RemotePlace(Place):
    """A folder behind a URL of fsspec: ``s3://``, ``https://``, ``memory://`` and others.

    Credentials are those of the environment; nothing of the URL but its last part is shown.
    What fails is tried three times, unless the file is not there or may not be read.

    Raises
    ------
    MrisslError
        If fsspec, or what it needs for this kind of URL, is not installed.
    """

    def __init__(self, url: str) -> None:
        self.name = printable(url.split("?")[0].rstrip("/").rpartition("/")[2]) or "pack"
        try:
            from fsspec.core import url_to_fs

            self._system, root = url_to_fs(url)
        except ImportError as error:
            raise MrisslError(
                f"URLs of this kind need a package that is not installed ({error})"[:200],
                where=self.name,
                remedy='run: pip install "napari-mrissl[remote]", for buckets s3fs, gcsfs or adlfs',
            ) from error
        except Exception as error:
            raise MrisslError(
                f"is no URL that can be opened ({type(error).__name__})",
                where=self.name,
                expected="a folder, or a URL such as s3://bucket/pack",
            ) from error
        self._root = str(root).rstrip("/")

    def size(self, file: str) -> int:
        """See `Place.size`."""
        return self._tried(file, lambda path: int(self._system.info(path)["size"]))

    def _spans(self, file: str, spans: Sequence[Span]) -> list[bytes]:
        def read(path: str) -> list[bytes]:
            starts, ends = zip(*spans, strict=True)
            # At once, where the file system can.
            found = self._system.cat_ranges([path] * len(spans), list(starts), list(ends))
            # Some return what went wrong, whatever they are told.
            for part in found:
                if isinstance(part, BaseException):
                    raise part
            return [bytes(part) for part in found]

        return self._tried(file, read) if spans else []

    def _tried(self, file: str, use: Callable[[str], T]) -> T:
        failure: Any = None
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE_SECONDS * 4 ** (attempt - 1))
            try:
                return use(f"{self._root}/{file}")
            except Exception as error:  # noqa: BLE001 - every file system has errors of its own
                failure = error
                if _is_final(error):
                    break
        raise self._refused(file, _reason(failure)) from failure


def _answer_of(error: BaseException | None) -> int | None:
    """The status that a server answered with, by what HTTP and S3 clients raise."""
    status = getattr(error, "status", None)
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _is_final(error: Exception) -> bool:
    """Whether it would fail again: to fsspec a server that does not answer lacks every file."""
    answer = _answer_of(error) or _answer_of(error.__cause__)
    if answer is not None:
        return 400 <= answer < 500 and answer not in _LATER
    return isinstance(error, _FINAL) and error.__cause__ is None


def _reason(error: Exception) -> str:
    """What went wrong, by a kind alone: texts of errors may hold URLs with their secrets."""
    answer = _answer_of(error) or _answer_of(error.__cause__)
    if answer is not None and answer not in _MISSING:
        return f"the server answered {answer}"
    if isinstance(error, FileNotFoundError):
        silent = answer is None and error.__cause__ is not None
        return "the server did not answer" if silent else "no such file"
    return type(error).__name__


def _read_at(opened: FileIO, first: int, end: int) -> bytes:
    """A span of a file, or what there is of it."""
    opened.seek(first)
    parts = []
    while first < end and (part := opened.read(end - first)):
        parts.append(part)
        first += len(part)
    return b"".join(parts)
