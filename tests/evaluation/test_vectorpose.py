"""Numbers of a report: what restores nothing costs what chance costs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_mrissl.evaluation.vectorpose import restoration_numbers
from napari_mrissl.pretext import edges
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.cube import IDENTITY
from napari_mrissl.pretext.settings import EdgeSettings
from napari_mrissl.pretext.vectorpose.views import RestorationView


def _view(original: np.ndarray, corrupted: np.ndarray, restored: np.ndarray) -> RestorationView:
    settings = EdgeSettings()
    record = CropRecord(
        "x", "", (8, 8, 8), (1, 1, 1), np.eye(4), (0, 0, 0), (7, 7, 7), 8, 1.0, IDENTITY
    )
    return RestorationView(
        record,
        original,
        corrupted,
        np.zeros(original.shape, bool),
        restored,
        edges.gradient(original, settings.median),
        None,
        settings,
    )


def test_chance_of_restoration_is_the_better_of_leaving_it_and_of_one_grey_value() -> None:
    rng = np.random.default_rng(0)
    original = (0.4 + 0.1 * rng.random((8, 8, 8))).astype(np.float32)
    flat = np.full_like(original, np.median(original))
    spoiled = _view(original, 1 - original, flat)
    numbers = restoration_numbers([spoiled])
    assert numbers["error_all"] == pytest.approx(numbers["chance_error_all"], rel=1e-5)
    assert numbers["chance_error_all"] < 0.5 * np.abs(1 - 2 * original).mean()
    assert np.isnan(numbers["chance_error_painted"])
    nearly = _view(original, original + np.float32(0.01), flat)
    assert restoration_numbers([nearly])["chance_error_all"] == pytest.approx(0.01, rel=1e-3)
