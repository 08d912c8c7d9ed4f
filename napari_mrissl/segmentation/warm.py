"""Compile the kernels of instant segmentation before the first click needs them."""

from __future__ import annotations

import threading

import numpy as np

from napari_mrissl.features import FeatureStack, FilterBankSettings
from napari_mrissl.segmentation.instant import InstantSegmenter
from napari_mrissl.segmentation.prompts import Prompts
from napari_mrissl.segmentation.settings import SegmentSettings
from napari_mrissl.volumes import Volume

_lock = threading.Lock()
_thread: threading.Thread | None = None


def prepare() -> threading.Thread:
    """Compile, or load from the cache, in a background thread; returns at once.

    Compiling takes seconds once per user, loading tenths of a second per process. The
    thread is no daemon: one inside the compiler at the end would crash the interpreter.
    """
    global _thread
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_segment_something, name="segmentation kernels")
            _thread.start()
        return _thread


def _segment_something() -> None:
    rng = np.random.default_rng(0)
    volume = Volume.from_stored(rng.random((4, 4, 4), np.float32), np.eye(4))
    data = rng.random((2, 4, 4, 4), np.float32)
    data.flags.writeable = False  # as a memory-mapped stack: another type to the compiler
    settings = SegmentSettings(features=FilterBankSettings())
    stack = FeatureStack(data, ("one", "two"), volume.identity, settings.features)
    segmenter = InstantSegmenter(volume, stack, settings)
    segmenter.fit(Prompts.from_arrays([(0, 0, 0), (3, 3, 3)], [1, 2]))
    segmenter.predict_plane(volume.affine, volume.shape)
    segmenter.predict_volume()
