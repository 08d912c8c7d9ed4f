"""Scans are prepared as the card of the weights says."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.weights import SUBJECT, scan_for
from napari_mrissl.volumes import Volume


def volume(voxels) -> Volume:
    return Volume.from_stored(np.asarray(voxels, np.float32), np.eye(4), name="Jane Doe")


def test_a_window_is_taken_as_it_is_and_percentiles_of_the_scan():
    ramp = volume(np.arange(1000.0).reshape(10, 10, 10))
    window = {"kind": "window", "low": -160.0, "high": 240.0}
    scan = scan_for(ramp, {"preprocessing": window})
    assert (scan.low, scan.high) == (-160.0, 240.0)
    percentiles = {"kind": "percentile", "low": 10.0, "high": 90.0}
    scan = scan_for(ramp, {"preprocessing": percentiles})
    expected = np.percentile(np.arange(1000.0), [10, 90])
    np.testing.assert_allclose([scan.low, scan.high], expected, atol=2)
    assert scan.subject == SUBJECT
    assert "Jane" not in scan.subject


@pytest.mark.parametrize("card", [{}, {"preprocessing": {"kind": "guess"}}])
def test_a_card_without_preprocessing_is_refused(card):
    with pytest.raises(MrisslError, match="how scans are prepared"):
        scan_for(volume(np.arange(27.0).reshape(3, 3, 3)), card)
