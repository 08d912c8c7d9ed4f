"""Scans segmented in a process of their own: the same labels, one bad scan, cancel, no network."""

import threading
import time

import numpy as np
import psutil
import pytest
import small_segmenters
from small_segmenters import volume_of

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import Cancelled
from napari_mrissl.segmentation.finetuning import SavedSegmenter
from napari_mrissl.segmentation.prediction import PredictionSettings, Predictor
from napari_mrissl.segmentation.prediction_apart import predict_apart

CPU = PredictionSettings(device="cpu")


def noise(seed, shape=(9, 11, 8)):
    return volume_of(np.random.default_rng(seed).random(shape, np.float32), (2.0, 1.0, 1.5))


def test_labels_are_those_of_this_process_and_one_bad_scan_does_not_stop_the_others(tmp_path):
    path = small_segmenters.saved(tmp_path / "w.safetensors")
    flat = volume_of(np.ones((8, 8, 8), np.float32))
    scans, found, parts = [noise(0), flat, noise(1)], {}, []
    predict_apart(
        path,
        scans,
        lambda number, labels, why: found.__setitem__(number, (labels, why)),
        CPU,
        progress=lambda part, step: parts.append(part),
    )
    predictor = Predictor(SavedSegmenter.load(path), CPU)
    for number in (0, 2):
        labels, why = found[number]
        assert np.array_equal(labels, predictor.predict(scans[number]).labels)
        assert why == ""
    assert found[1][0] is None
    assert "same value" in found[1][1]
    assert parts == sorted(parts)
    assert parts[-1] == 1


def test_what_is_no_network_is_said(tmp_path):
    with pytest.raises(MrisslError, match="is not there"):
        predict_apart(tmp_path / "gone.safetensors", [noise(0)], lambda *words: None, CPU)


def test_cancelling_ends_the_process(tmp_path):
    path = small_segmenters.saved(tmp_path / "w.safetensors")
    began, before = threading.Event(), set(psutil.Process().children(recursive=True))
    with pytest.raises(Cancelled):
        predict_apart(
            path,
            [noise(seed) for seed in range(50)],
            lambda *words: began.set(),
            CPU,
            cancelled=began.is_set,
        )
    until = time.monotonic() + 60
    while set(psutil.Process().children(recursive=True)) - before:
        assert time.monotonic() < until
        time.sleep(0.05)
