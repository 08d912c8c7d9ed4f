"""Everything that can be wrong with a scan: one family of named errors."""

from napari_mrissl.errors import MrisslError


class ScanError(MrisslError):
    """A scan cannot be read or written; says file, field, found, expected, remedy."""
