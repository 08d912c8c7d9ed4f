"""A scan in memory and on disk: reading, guarding, writing, and sample scans."""

from napari_mrissl.volumes.description import describe
from napari_mrissl.volumes.errors import ScanError
from napari_mrissl.volumes.reading import READABLE_SUFFIXES, read
from napari_mrissl.volumes.volume import NiftiForms, StoredGrid, Volume
from napari_mrissl.volumes.writing import (
    WRITABLE_SUFFIXES,
    write_image,
    write_labels,
    write_vectors,
)

__all__ = [
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "NiftiForms",
    "ScanError",
    "StoredGrid",
    "Volume",
    "describe",
    "read",
    "write_image",
    "write_labels",
    "write_vectors",
]
