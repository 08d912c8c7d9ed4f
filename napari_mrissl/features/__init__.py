"""Dense features of a volume: a filter bank, MIND, a cache, and a place for networks."""

from napari_mrissl.features.cache import (
    cache_limit_bytes,
    cached,
    clear_cache,
    compute,
    discard,
    estimate,
    set_cache_limit,
)
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.features.coordinate_maps import CoordinateMapSettings
from napari_mrissl.features.denoiser import DenoiserSettings
from napari_mrissl.features.filter_bank import FilterBankSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.slice_stacks import SliceStackSettings
from napari_mrissl.features.source import (
    Estimate,
    FeatureSource,
    FeatureStack,
    register_source,
    source_for,
)

__all__ = [
    "Cancelled",
    "CoordinateMapSettings",
    "DenoiserSettings",
    "Estimate",
    "FeatureSource",
    "FeatureStack",
    "FilterBankSettings",
    "NetworkSettings",
    "SliceStackSettings",
    "cache_limit_bytes",
    "cached",
    "clear_cache",
    "compute",
    "discard",
    "estimate",
    "register_source",
    "set_cache_limit",
    "source_for",
]
