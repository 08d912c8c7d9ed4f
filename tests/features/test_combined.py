"""The filter bank and a network as one stack, and settings that come back from JSON."""

import json

import numpy as np
import pytest
import small_networks

from napari_mrissl import features
from napari_mrissl.errors import MrisslError
from napari_mrissl.features import FilterBankSettings, source_for
from napari_mrissl.features.combined import CombinedSettings
from napari_mrissl.features.network import NetworkSettings
from napari_mrissl.features.settings import feature_settings
from napari_mrissl.volumes import Volume

BANK = FilterBankSettings(groups=("intensity", "gradient"), scales_mm=(1.5,))
RANDOM = NetworkSettings(weights="random", width=2, depth=2, seed=4)
BOTH = CombinedSettings(filters=BANK, network=RANDOM)


def volume():
    voxels = np.random.default_rng(1).integers(0, 900, (18, 20, 17)).astype(np.int16)
    return Volume.from_stored(voxels, np.diag([1, 1.2, 2, 1]))


def test_channels_are_those_of_the_one_and_then_of_the_other():
    told = []
    both = features.compute(volume(), BOTH, lambda part, step: told.append(part))
    bank, network = features.compute(volume(), BANK), features.compute(volume(), RANDOM)
    np.testing.assert_array_equal(both.data[:2], bank.data)
    np.testing.assert_allclose(both.data[2:], network.data, atol=1e-5)
    assert both.names == (*bank.names, *network.names)
    assert len(set(both.names)) == len(both.names)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    one, other = (features.estimate(volume(), part) for part in (BANK, RANDOM))
    needed = features.estimate(volume(), BOTH)
    assert needed.disk_bytes == one.disk_bytes + other.disk_bytes
    assert needed.ram_bytes == max(one.ram_bytes, other.ram_bytes)


def test_other_weights_under_a_name_are_other_features(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "one"))
    name = small_networks.imported(tmp_path, "mine", seed=1)
    settings = CombinedSettings(filters=BANK, network=NetworkSettings(weights=name))
    first = source_for(settings).settings
    stack = features.compute(volume(), settings)
    assert first.network.weights != name
    monkeypatch.setenv("MRISSL_DATA_DIR", str(tmp_path / "two"))
    small_networks.imported(tmp_path, "mine", seed=2)
    assert source_for(settings).settings != first
    assert features.cached(volume(), settings) is None
    assert not np.allclose(features.compute(volume(), settings).data, stack.data)


@pytest.mark.parametrize("settings", [BANK, RANDOM, BOTH])
def test_settings_come_back_from_json(settings):
    assert feature_settings(json.loads(settings.model_dump_json())) == settings


def test_settings_without_a_kind_are_the_filter_bank():
    assert feature_settings({"groups": ["mind"]}) == FilterBankSettings(groups=("mind",))


@pytest.mark.parametrize(
    "content", [{"kind": "other"}, {"kind": 3}, {"kind": "network", "groups": []}, {"tap": 1}]
)
def test_others_are_refused_in_a_sentence(content):
    with pytest.raises(MrisslError, match="settings of features"):
        feature_settings(content)
