"""Features of all scales of a network's decoder, beside its output."""

import numpy as np
import pytest
import small_networks

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import source_for
from napari_mrissl.features.combined import CombinedSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.settings import feature_settings
from napari_mrissl.networks.unet_layout import taps
from napari_mrissl.volumes import Volume

RANDOM = {"weights": "random", "width": 2, "depth": 3, "seed": 4}
ALL = NetworkSettings(**RANDOM, scales="decoder")


def volume():
    voxels = np.random.default_rng(1).integers(0, 900, (18, 20, 17)).astype(np.int16)
    return Volume.from_stored(voxels, np.diag([1, 1.2, 2, 1]))


def test_the_output_comes_first_and_then_the_coarser_levels_of_the_decoder():
    stack = features.compute(volume(), ALL)
    # The trained layers of the decoder but the output: of the first level (1/4), then the next.
    layers = taps(3)[2:-1]
    parts = [features.compute(volume(), NetworkSettings(**RANDOM))]
    parts += [features.compute(volume(), NetworkSettings(**RANDOM, tap=tap)) for tap in layers]
    assert [len(part.data) for part in parts] == [16, 8, 4]
    np.testing.assert_allclose(stack.data, np.concatenate([p.data for p in parts]), atol=1e-6)
    assert stack.names == tuple(name for part in parts for name in part.names)
    assert len(set(stack.names)) == len(stack.names)
    for first, count in ((0, 16), (16, 8), (24, 4)):
        lengths = np.linalg.norm(stack.data[first : first + count], axis=0)
        np.testing.assert_allclose(lengths, 1, atol=1e-4)


def test_what_it_takes_is_the_sum_over_its_passes():
    one = features.estimate(volume(), NetworkSettings(**RANDOM))
    found = features.estimate(volume(), ALL)
    assert found.disk_bytes > one.disk_bytes
    assert found.seconds > one.seconds


def test_weights_are_known_by_their_identity(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "one"))
    name = small_networks.imported(tmp_path, "mine", seed=1)
    settings = NetworkSettings(weights=name, scales="decoder")
    source = source_for(settings)
    assert source.settings.weights != name
    assert source.settings.scales == "decoder"
    assert len(features.compute(volume(), settings).data) == len(source.channel_names())
    both = CombinedSettings(network=settings)
    assert source_for(both).settings.network == source.settings


def test_one_layer_and_all_scales_exclude_each_other():
    with pytest.raises(ValueError, match="exclude"):
        NetworkSettings(**RANDOM, scales="decoder", tap=3)
    with pytest.raises(MrisslError):
        feature_settings({"kind": "network", "scales": "some"})


def test_settings_come_back_from_json():
    assert feature_settings(ALL.model_dump(mode="json")) == ALL
