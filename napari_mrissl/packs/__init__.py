"""Packed collections: thousands of volumes as zarr shards with one manifest, read in parts."""

from napari_mrissl.packs.checking import Checked, check
from napari_mrissl.packs.manifest import MANIFEST, Manifest, PackEntry
from napari_mrissl.packs.pack import Pack, is_pack, is_url
from napari_mrissl.packs.packed_volume import PackedVolume
from napari_mrissl.packs.writing import PackWriter

__all__ = [
    "MANIFEST",
    "Checked",
    "Manifest",
    "Pack",
    "PackEntry",
    "PackWriter",
    "PackedVolume",
    "check",
    "is_pack",
    "is_url",
]
