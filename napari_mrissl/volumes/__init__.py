"""A scan in memory and on disk: reading, guarding, writing, and sample scans."""

from napari_mrissl.volumes.errors import ScanError
from napari_mrissl.volumes.volume import NiftiForms, StoredGrid, Volume

__all__ = ["NiftiForms", "ScanError", "StoredGrid", "Volume"]
