"""Everything that can be wrong with a scan: one family of twelve named errors."""

from __future__ import annotations

from pathlib import Path

from napari_mrissl.errors import MrisslError


class ScanError(MrisslError):
    """A scan cannot be read or written; says file, field, found, expected, remedy.

    Parameters
    ----------
    found, where, expected, remedy
        As for `MrisslError`; ``where`` is the file.
    field
        The header field at fault, where there is one.
    """

    def __init__(
        self,
        found: str,
        *,
        where: str | Path | None = None,
        field: str | None = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.field = field
        super().__init__(
            f"{field} is {found}" if field else found,
            where=where,
            expected=expected,
            remedy=remedy,
        )


class UnreadableFile(ScanError):
    """The file or folder is missing, empty, or may not be opened."""


class UnknownFormat(ScanError):
    """Neither the content nor the suffix is one we read."""


class DamagedHeader(ScanError):
    """A header field contradicts itself, another field or the format."""


class SizeMismatch(ScanError):
    """The file holds fewer or more bytes than its header says."""


class DamagedStream(ScanError):
    """Compressed voxels do not decompress, or fail their checksum."""


class UnsupportedVoxels(ScanError):
    """The voxels are of a kind we do not show: colour, complex, vectors."""


class BadGeometry(ScanError):
    """The scan does not say where its voxels are, or says it impossibly."""


class TooLarge(ScanError):
    """Opening the scan would take more memory than it may."""


class MissingReader(ScanError):
    """An optional package that reads this format is not installed."""


class NoSuchFrame(ScanError):
    """The frame asked for is not in the file."""


class WriteError(ScanError):
    """A file cannot or must not be written; what was there before is unchanged."""
