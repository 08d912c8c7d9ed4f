"""Volumes of labels, counted by hand."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.metrics import size_scores


def test_volumes_and_differences():
    truth = np.repeat(np.array([0, 1, 2, 2], np.uint8), 250)
    predicted = np.repeat(np.array([0, 1, 1, 3], np.uint8), 250)
    found = size_scores(predicted, truth, 2.0, (1, 2, 3))
    assert {k: (s.truth_ml, s.predicted_ml, s.difference_ml) for k, s in found.items()} == {
        1: (0.5, 1.0, 0.5), 2: (1.0, 0.0, -1.0), 3: (0.0, 0.5, 0.5),
    }  # fmt: skip
    assert [s.difference_percent for s in found.values()] == [100.0, -100.0, None]
    with pytest.raises(MrisslError, match="mm"):
        size_scores(predicted, truth, 0.0, (1,))
