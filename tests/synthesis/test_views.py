"""Any label map is painted as the engine paints its own."""

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.synthesis.settings import (
    AppearanceSettings,
    AugmentationSettings,
    SharpenSettings,
    SpikeSettings,
)
from napari_mrissl.synthesis.views import Painter


def test_the_engines_label_maps_get_the_engines_views(engine):
    painter = Painter(engine.settings.appearance, engine.settings.augmentation)
    for index in (0, 3):
        pair = engine.pair(index)
        labels = engine.labels(index)
        np.testing.assert_array_equal(labels, pair.labels)
        np.testing.assert_array_equal(painter.stacked(labels, engine.seed, index), pair.views)


def test_other_devices_paint_the_same(engine):
    import torch

    labels = engine.labels(1)
    expected = Painter().stacked(labels, 4, 9)
    painter = Painter()
    from napari_mrissl.synthesis.torch_operations import TorchOperations

    painter._operations = TorchOperations("cpu")
    found = torch.stack(painter.views(torch.from_numpy(labels), 4, 9))
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("device", ["cpu", "tensors"])
def test_a_black_view_stays_finite_whatever_acts_on_it(device):
    import torch

    from napari_mrissl.synthesis.torch_operations import TorchOperations

    painter = Painter(
        AppearanceSettings(background_skip=1.0),
        AugmentationSettings(
            spike=SpikeSettings(probability=1.0), sharpen=SharpenSettings(probability=1.0)
        ),
    )
    labels = np.zeros((16, 16, 16), np.uint8)
    if device == "tensors":
        painter._operations = TorchOperations("cpu")
        labels = torch.from_numpy(labels)
    for index in range(40):
        for view in painter.views(labels, 0, index):
            values = np.asarray(view)
            assert np.isfinite(values).all()
            assert values.min() >= 0
            assert values.max() <= 1


def test_labels_of_an_index_below_0_are_refused(engine):
    with pytest.raises(MrisslError, match="index -1"):
        engine.labels(-1)
